"""`visioncraft generate`."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from toy import House
from visioncraft import decode_png, read_record
from visioncraft.cli import targets
from visioncraft.runtime.one_shot import Drawn
from visioncraft.testing import PATIENCE_S
from visioncraft.testing.commands import PIPE


def test_generate_writes_the_gallerys_own_bytes_and_says_what_drew_them(house: House) -> None:
    done = house.run("generate", "a red apple", "-o", "apple.png", "--seed", "7", "--width", "64", "--height", "128")
    assert done.returncode == 0, done.stderr
    png = (house.folder / "apple.png").read_bytes()
    assert png == (house.folder / "kept.png").read_bytes()
    record = read_record(png)
    assert record is not None and (record.prompt, record.seed, record.model) == ("a red apple", 7, "toy-1.0")
    assert decode_png(png).shape == (128, 64, 3)
    assert done.stdout.startswith("apple.png: drawn by toy-1.0, 64x128, seed 7, ")


def test_generate_without_a_file_uses_the_galleries_name_in_this_folder(house: House) -> None:
    said = house.run("generate", "a red apple").stdout
    assert [str(file) for file in house.folder.glob("generated_image_*.png")] == [said.partition(": drawn by")[0]]


def test_generate_shows_steps_on_a_terminal(house: House) -> None:
    done = house.run("generate", "a red apple", "--steps", "16", FORCE_COLOR="1", TTY_INTERACTIVE="1")
    assert "toy-1.0" in done.stderr and "16/16" in done.stderr


def test_generate_writes_what_the_end_of_the_name_says(house: House) -> None:
    done = house.run("generate", "a red apple", "-o", "a.webp", "--width", "64", "--height", "64")
    assert done.returncode == 0, done.stderr
    assert (house.folder / "a.webp").read_bytes().startswith(b"RIFF")
    png = (house.folder / "kept.png").read_bytes()
    record = read_record(png)
    assert record is not None
    for name, head in {"a.jpg": b"\xff\xd8\xff", "a.JPEG": b"\xff\xd8\xff", "a.webp": b"RIFF", "a": b"\x89PNG"}.items():
        written = targets.write(targets.writable(house.folder / name), Drawn(record, png))
        assert written == house.folder / name and written.read_bytes().startswith(head)


def test_generate_refuses_a_name_that_no_picture_is_written_as(house: House) -> None:
    assert "a.bmp cannot be written: .bmp is none of .png, .jpg, .jpeg, .webp" in house.refusal(
        "generate", "a red apple", "-o", "a.bmp"
    )
    assert not (house.folder / "kept.png").exists()


@pytest.mark.parametrize("file", ["absent/apple.png", "settings.toml/apple.png"])
def test_generate_refuses_an_unwritable_file_before_it_draws(house: House, file: str) -> None:
    assert f"{file} cannot be written" in house.refusal("generate", "a red apple", "-o", file)
    assert not (house.folder / "kept.png").exists()


def test_generate_names_the_option_that_breaks_the_models_limits(house: House) -> None:
    assert house.refusal("generate", "apple", "--steps", "900") == "Error: Invalid --steps; 15 to 50 for toy-1.0"
    assert "--guidance-scale" in house.refusal("generate", "apple", "--guidance-scale", "nan")


def test_generate_says_how_to_get_a_model_without_weights(house: House) -> None:
    said = house.refusal("generate", "apple", "--model", "toy-xl")
    assert "visioncraft models pull toy-xl" in said and "available: toy-1.0" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--init-image", "absent.png"), "absent.png cannot be read"),
        (("--init-image", "pyproject.toml"), "Invalid --init-image"),
        (("--lora", "ink:much"), "write NAME or NAME:WEIGHT"),
        (("--lora", "ink:0.5"), "Invalid --lora; toy-1.0 cannot use it"),
        (("--controlnet", "edges"), "go together"),
        (("--hires", "2"), "Invalid --hires; toy-1.0 cannot use it"),
        (("--upscale", "2"), "only together with upscaler"),
    ],
)
def test_generate_refuses_edits_by_the_options_name(house: House, arguments: tuple[str, ...], words: str) -> None:
    (house.folder / "pyproject.toml").write_text("no picture")
    assert words in house.refusal("generate", "apple", *arguments)


def test_a_bug_in_a_generator_ends_in_one_line(house: House) -> None:
    assert "Generator 'toy' failed" in house.run("generate", "bug").stderr.splitlines()[-1]


def test_ctrl_c_cancels_a_picture_and_keeps_nothing(house: House) -> None:
    os.mkfifo(gate := house.folder / "gate")
    with house.begin("generate", "endless", "-o", "apple.png", stderr=PIPE) as drawing:
        assert drawing.stderr and drawing.stderr.readline() == "drawing\n"
        drawing.send_signal(signal.SIGINT)
        with suppress(BrokenPipeError), gate.open("w") as steps:
            while True:  # let it take steps until it has ended
                steps.write("one\n")
        _, said = drawing.communicate(timeout=PATIENCE_S)
    assert drawing.returncode == 130 and "Cancelled" in said and "Traceback" not in said
    assert not list(house.folder.glob("*.png"))
