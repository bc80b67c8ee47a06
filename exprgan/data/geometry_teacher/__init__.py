"""The geometry teacher: pseudo ground truth of a person in any expression, from one photo and its landmarks."""

from exprgan.data.geometry_teacher.render import TeacherResult
from exprgan.data.geometry_teacher.teacher import GeometryTeacher

__all__ = ["GeometryTeacher", "TeacherResult"]
