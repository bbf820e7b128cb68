"""One-shot classification of real images: a convolutional front end in PyTorch under a plastic layer
(`python one_shot_images.py`; needs torch, and scikit-learn for its digits).

As in Miconi, Stanley and Clune 2018: in each episode, the network sees one image of each of five classes with a label that is
drawn afresh, and then another image of one of them, whose label it has to give. What it learns from one look is in the
plastic layer's trace. The control has no plasticity, and cannot know. Classes of the test are not those of training.

With `--omniglot FOLDER`, a folder that has `images_background` and `images_evaluation`, the images are Omniglot's; else they
are the digits that scikit-learn ships, of which five classes are learned from and five tested on.
"""

import argparse
import itertools
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import metaplastic.torch as mpt

CLASSES = 5


def digits():
    """The images of each class, `[images, 1, 16, 16]`, for training and for the test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images / 16).float().unsqueeze(1)
    images = functional.interpolate(images, (16, 16), mode="bilinear")
    classes = [images[torch.from_numpy(data.target == digit)] for digit in range(10)]
    # A class and its mirror images are two classes to learn from.
    background = [turned for one in classes[:5] for turned in turns(one)]
    return background, [turned for one in classes[5:] for turned in turns(one)]


def turns(images):
    """The images turned by quarters, each a class of its own, as is usual with Omniglot."""
    return [torch.rot90(images, quarter, (2, 3)) for quarter in range(4)]


def omniglot(folder, size=28):
    """The characters of Omniglot, from the folders in which it is given out."""
    from PIL import Image

    def characters(part):
        for path in sorted(pathlib.Path(folder, part).glob("*/*")):
            drawings = [
                Image.open(file).resize((size, size)) for file in sorted(path.glob("*.png"))
            ]
            images = np.stack(
                [1 - np.asarray(it, np.float32) / np.asarray(it).max() for it in drawings]
            )
            yield from turns(torch.from_numpy(images).unsqueeze(1))

    return list(characters("images_background")), list(characters("images_evaluation"))


def episodes(classes, batch, random):
    """Images `[B, T, 1, H, W]`, labels shown `[B, T, C]` (none at the last step), and the label asked for `[B]`."""
    steps = CLASSES + 1
    images = torch.empty(batch, steps, *classes[0].shape[1:])
    shown = torch.zeros(batch, steps, CLASSES)
    wanted = torch.empty(batch, dtype=torch.long)
    for episode in range(batch):
        chosen = random.choice(len(classes), CLASSES, replace=False)
        labels = random.permutation(CLASSES)
        asked = random.integers(CLASSES)
        wanted[episode] = int(labels[asked])
        for step in range(CLASSES):
            here = classes[chosen[step]]
            # Two different images of the class that is asked for.
            pair = random.choice(len(here), 2, replace=False)
            images[episode, step] = here[pair[0]]
            shown[episode, step, labels[step]] = 1
            if step == asked:
                images[episode, -1] = here[pair[1]]
    return images, shown, wanted


class OneShot(nn.Module):
    """Convolutions make features of an image; a plastic layer binds them to the label that is shown beside."""

    def __init__(self, size, plasticity, features=64):
        super().__init__()
        sizes = [1, 32, 32, 32]
        convolutions = [
            part
            for before, after in itertools.pairwise(sizes)
            for part in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU())
        ]
        flat = 32 * (-(-size // 8)) ** 2
        self.front = nn.Sequential(
            *convolutions, nn.Flatten(), nn.Linear(flat, features), nn.Tanh()
        )
        rate = {} if plasticity == "none" else {"rate": mpt.Rate(0.3)}
        inputs = features + CLASSES
        self.memory = mpt.Plastic(
            inputs, CLASSES, activation="tanh", plasticity=plasticity, bias=False, **rate
        )
        self.gain = nn.Parameter(torch.tensor(5.0))
        with torch.no_grad():
            # A label that is shown drives its neuron, as in the papers; the image's features then become bound to it.
            self.memory.weight.zero_()
            self.memory.weight[:, features:] = 3 * torch.eye(CLASSES)
            if plasticity != "none":
                self.memory.plasticity.fill_(0.1)

    def forward(self, images, shown):
        """The scores at the last step, `[B, C]`."""
        seen = self.front(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        output, _ = self.memory(torch.cat([seen, shown], -1))
        return self.gain * output[:, -1]


def train(classes, tests, plasticity, meta_steps=2000, batch=32, seed=0):
    """The fraction of right answers on the classes of the test, along the way."""
    torch.manual_seed(seed)
    random, fresh = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    network = OneShot(classes[0].shape[-1], plasticity)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    course = []
    for meta_step in range(meta_steps + 1):
        if meta_step % (meta_steps // 10) == 0:
            with torch.no_grad():
                images, shown, wanted = episodes(tests, 500, fresh)
                course.append((network(images, shown).argmax(-1) == wanted).float().mean().item())
            print(f"plasticity {plasticity}, {meta_step} meta-steps: {course[-1]:.0%} right")
        images, shown, wanted = episodes(classes, batch, random)
        loss = functional.cross_entropy(network(images, shown), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return course


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--omniglot", help="the folder of its images")
    parser.add_argument("--meta-steps", type=int, default=2000)
    parser.add_argument("--figure", help="draw the courses into this file, by matplotlib")
    arguments = parser.parse_args()
    classes, tests = omniglot(arguments.omniglot) if arguments.omniglot else digits()
    courses = {
        plasticity: train(classes, tests, plasticity, arguments.meta_steps)
        for plasticity in ("connection", "none")
    }
    if arguments.figure:
        draw(courses, arguments.meta_steps, arguments.figure)


def draw(courses, meta_steps, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    steps = np.linspace(0, meta_steps, 11)
    names = {"connection": "plastic", "none": "not plastic"}
    for (plasticity, course), colour in zip(courses.items(), ("#1b6ca8", "#999999"), strict=True):
        axes.plot(steps, np.array(course) * 100, colour, lw=2)
        axes.text(steps[-1] * 1.02, course[-1] * 100, names[plasticity], color=colour, va="center")
    axes.axhline(100 / CLASSES, color="#cccccc", ls=":", zorder=0)
    axes.text(steps[0], 100 / CLASSES - 6, "chance", color="#888888")
    axes.set(xlabel="meta-steps", ylabel="right answers (%)", ylim=(0, 100))
    axes.set_title("Five classes from one look each, none of them seen in training", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
