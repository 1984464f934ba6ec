"""What the ten tasks are given: a network, arrays, data sets, and an image file; see docs/ten-tasks.md."""

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import Dataset, TensorDataset

digits = load_digits()
images = (digits.images * 255 / 16).round().astype(np.uint8)[:, None]
x, y = images.astype(np.float32) / 255, digits.target.astype(np.int64)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
all_set = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
train_set = TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train))
test_set = TensorDataset(torch.from_numpy(x_test), torch.from_numpy(y_test))
Image.fromarray(images[0, 0]).save("digit.png")


class Net(nn.Module):
    """A small convolutional network."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.output = nn.Linear(16 * 8 * 8, 10)

    def forward(self, x):
        return self.output(self.conv(x).relu().flatten(1))


class ShiftedDigits(Dataset):
    """The training images, each shifted at random by up to one pixel."""

    def __len__(self):
        return len(x_train)

    def __getitem__(self, index):
        shifts = torch.randint(-1, 2, (2,)).tolist()
        return torch.from_numpy(x_train[index]).roll(shifts, dims=(1, 2)), int(y_train[index])
