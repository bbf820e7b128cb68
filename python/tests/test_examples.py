"""The examples do what they say."""

import importlib.util
import pathlib

import numpy as np

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_own_loss():
    first, last = example("own_loss").train()
    assert last < 0.7 * first


def test_environment():
    first, last = example("environment").train(150)
    assert last < 0.7 * first


def test_sweep(tmp_path):
    best, loss = example("sweep").sweep(tmp_path / "best.safetensors")
    assert 20 < best < 63 and loss < 5 and (tmp_path / "best.safetensors").exists()


def test_own_task(tmp_path):
    path = tmp_path / "echo.safetensors"
    trained, evaluation = example("own_task").run(path, population=4)
    assert trained.solved.sum() >= 3 and path.exists()
    # At the first step, which does not count, nothing is asked.
    assert evaluation.accuracy[trained.solved, 1:].min() > 0.9


def test_one_shot_images():
    module = example("one_shot_images")
    classes, tests = module.digits()
    assert len(classes) == len(tests) == 20
    images, shown, wanted = module.episodes(classes, 3, np.random.default_rng(0))
    assert images.shape == (3, 6, 1, 16, 16)
    # The label that is asked for was shown beside an image, and none is at the end.
    assert (shown.sum((1, 2)) == 5).all() and (shown[:, -1] == 0).all() and (wanted < 5).all()
    course = module.train(classes, tests, "connection", meta_steps=10, batch=2)
    assert len(course) == 11


def test_omniglot_is_read_from_its_folders(tmp_path):
    image = __import__("PIL.Image").Image
    for part, count in (("images_background", 2), ("images_evaluation", 1)):
        for character in range(count):
            folder = tmp_path / part / "Greek" / f"character{character:02}"
            folder.mkdir(parents=True)
            for drawer in range(3):
                drawn = np.full((105, 105), 255, np.uint8)
                drawn[20:80, 50:54] = 0
                image.fromarray(drawn).convert("1").save(folder / f"{drawer}.png")
    classes, tests = example("one_shot_images").omniglot(tmp_path)
    assert (len(classes), len(tests)) == (8, 4) and classes[0].shape == (3, 1, 28, 28)
    assert 0 < classes[0].mean() < 0.5 and classes[0].max() == 1
