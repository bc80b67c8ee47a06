"""The page: where its parts stand and which answer of the desk each of them shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
import jinja2

from exprgan.app.desk import Desk, OpenedPhoto, look_of_recipe, trouble_of
from exprgan.app.look import Look, groups
from exprgan.app.opened import ALL
from exprgan.edit.teeth import CHOICES
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import MOST, REGIONS
from exprgan.photos.image_io import READABLE_EXTENSIONS

FOLDER = Path(__file__).parent
VIEWS = [("whole photo", "photo"), ("close-up", "near")]
Uploaded = tuple[Path, str]
"""A file that came, and what it was called."""


def _uploaded(payload: Any) -> Uploaded | None:
    return None if payload is None else (Path(payload.path), payload.orig_name or Path(payload.path).name)


def _taking(part: Any) -> Any:
    """An input for files whose functions get path and name; it leaves no further file behind, as gradio's own would.

    A class of our own would do, too, but gradio writes a stub beside the source of each.
    """
    part.preprocess = _uploaded
    return part


def build(desk: Desk) -> gr.Blocks:
    """The page of a desk."""
    with gr.Blocks(title="exprgan", analytics_enabled=False, fill_width=True) as blocks:
        _html("head.html", elem_classes="exp-head")
        with gr.Row(elem_classes="exp-columns"):
            with gr.Column(elem_classes="exp-left", scale=3, min_width=280):
                compare = _html("compare.html", None, "compare.js", elem_classes="exp-view")
                status = gr.HTML("", apply_default_css=False, elem_classes="exp-status")
                with gr.Row(elem_classes="exp-choices"):
                    face = gr.Radio([], label="Face", visible=False, interactive=True)
                    view = gr.Radio(VIEWS, value="photo", label="View", visible=False, interactive=True)
                photo = _taking(
                    gr.File(label="Photo", file_types=list(READABLE_EXTENSIONS), elem_classes="exp-load")
                )
                with gr.Row(elem_classes="exp-save"):
                    save = gr.Button("Save the photo", variant="primary", min_width=120)
                    save_recipe = gr.Button("Save the recipe", min_width=120)
                    recipe = _taking(gr.UploadButton("Load a recipe", file_types=[".toml"], min_width=120))
                    teeth = _taking(
                        gr.UploadButton("Load teeth", file_types=list(READABLE_EXTENSIONS), min_width=120)
                    )
                command = _html("command.html", "", "command.js", elem_classes="exp-below")
                saver = _html(None, "", "saver.js", visible="hidden")
            with gr.Column(elem_classes="exp-right", scale=2, min_width=280):
                panel = gr.HTML(
                    Look().values(),
                    html_template=panel_html(),
                    js_on_load=_text("panel.js"),
                    apply_default_css=False,
                )
        shown = [compare, status, command]

        def open_photo(uploaded: Uploaded | None, values: Any, request: gr.Request) -> list[Any]:
            path, name = _given(uploaded)
            try:
                data = path.read_bytes()
            finally:
                path.unlink(missing_ok=True)  # it is kept in memory alone
            return _of_photo(desk.open(_session(request), data, name, values))

        def draw(values: Any, face: str | None, view: str, request: gr.Request) -> list[Any]:
            return list(desk.draw(_session(request), values, face or ALL, view))

        def open_recipe(
            uploaded: Uploaded | None, values: Any, face: str | None, view: str, request: gr.Request
        ) -> list[Any]:
            path, name = _given(uploaded)
            try:
                new = look_of_recipe(path, name, values)
            finally:
                path.unlink(missing_ok=True)
            return [*desk.draw(_session(request), new, face or ALL, view), new]

        def take_teeth(
            uploaded: Uploaded | None, values: Any, face: str | None, view: str, request: gr.Request
        ) -> list[Any]:
            path, name = _given(uploaded)
            try:
                data = path.read_bytes()
            finally:
                path.unlink(missing_ok=True)
            return list(desk.take_teeth(_session(request), data, name, values, face or ALL, view))

        def save_photo(values: Any, face: str | None, request: gr.Request) -> list[Any]:
            return [gr.skip(), desk.photo_file(_session(request), values, face or ALL)]

        def save_look(values: Any, request: gr.Request) -> list[Any]:
            return [gr.skip(), desk.recipe_file(_session(request), values)]

        def close(request: gr.Request) -> None:
            desk.close(_session(request))

        quiet = {"show_progress": "hidden"}
        photo.upload(
            _told(open_photo, 6, status_at=1, emptied_at=3),
            [photo, panel],
            [compare, status, command, photo, face, view],
            show_progress_on=[photo],
        )
        gr.on(
            [panel.input, face.input, view.input],
            _told(draw, 3, status_at=1),
            [panel, face, view],
            shown,
            trigger_mode="always_last",
            queue=False,
            **quiet,
        )
        recipe.upload(
            _told(open_recipe, 4, status_at=1), [recipe, panel, face, view], [*shown, panel], **quiet
        )
        teeth.upload(
            _told(take_teeth, 3, status_at=1), [teeth, panel, face, view], shown, show_progress_on=[teeth]
        )
        save.click(_told(save_photo, 2, status_at=0), [panel, face], [status, saver], show_progress_on=[save])
        save_recipe.click(_told(save_look, 2, status_at=0), [panel], [status, saver], **quiet)
        blocks.unload(close)
    return blocks


def _html(file: str | None, value: Any = "", script: str | None = None, **options: Any) -> gr.HTML:
    """A part of the page from files beside this one, with a value that its script shows."""
    return gr.HTML(
        value,
        html_template=_text(file) if file else "",
        js_on_load=_text(script) if script else None,
        apply_default_css=False,
        **options,
    )


def panel_html() -> str:
    """The sliders, as HTML."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_text("panel.html.j2")).render(
        expressions=EXPRESSIONS, groups=groups(), regions=REGIONS, teeth=CHOICES, most=MOST
    )


def theme() -> gr.themes.Base:
    """Neutral colours and the system's own fonts."""
    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    neutral = gr.themes.Default(
        primary_hue="teal", secondary_hue="teal", neutral_hue="stone", font=fonts, font_mono=mono
    )
    return neutral.set(  # of enough contrast to be read
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color_selected="*primary_700",
    )


def style() -> str:
    """The page's CSS."""
    return _text("page.css")


def _of_photo(opened: OpenedPhoto) -> list[Any]:
    """Values of comparison, status, command, photo, face and view."""
    return [
        *opened.shown,
        None,
        gr.update(choices=opened.faces, value=opened.face, visible=len(opened.faces) > 2),
        gr.update(value=opened.view, visible=True),
    ]


def _told(
    answer: Callable[..., list[Any]], count: int, *, status_at: int, emptied_at: int | None = None
) -> Callable[..., list[Any]]:
    """An answer of so many values; of an error, the status alone tells, and an input is emptied for the next file."""

    @wraps(answer)
    def tell(*values: Any) -> list[Any]:
        try:
            return answer(*values)
        except Exception as error:  # what goes wrong must be seen on the page
            told = [gr.skip() for _ in range(count)]
            told[status_at] = trouble_of(error)
            if emptied_at is not None:
                told[emptied_at] = None
            return told

    return tell


def _given(uploaded: Uploaded | None) -> Uploaded:
    if uploaded is None:
        raise ValueError("no file came")
    return uploaded


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
