"""The loaders of Fashion-MNIST, and the stand-in's data sets and networks."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from yisheng import d2l
from yisheng.core.errors import DataError, UsageError
from yisheng.d2l.fashion_mnist import ImageRows
from yisheng.d2l.vision import datasets, models, transforms


class PlainImages(torch.utils.data.Dataset):
    """Images as torchvision gives them: one after another, resized by Pillow."""

    def __init__(self, images, labels, size=None):
        self.images, self.labels = images, labels
        steps = [] if size is None else [transforms.Resize(size)]
        self.transform = transforms.Compose([*steps, transforms.ToTensor()])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (50, 28, 28), dtype=np.uint8), generator.integers(0, 10, 50)


@pytest.mark.parametrize("size", [None, (64, 64), (12, 20)])
def test_batches_are_those_of_single_images_in_the_same_order(rows, size):
    torch.manual_seed(0)
    quick = list(DataLoader(ImageRows(*rows, size), 16, shuffle=True))
    torch.manual_seed(0)
    plain = list(DataLoader(PlainImages(*rows, size), 16, shuffle=True))
    assert [len(y) for _, y in quick] == [16, 16, 16, 2]
    for (x, y), (x_plain, y_plain) in zip(quick, plain, strict=True):
        assert torch.equal(y, y_plain)
        assert x.shape == x_plain.shape == (len(y), 1, *(size or (28, 28)))
        difference = (x - x_plain).abs().max() * 255
        assert difference <= (1.001 if size else 0)
    image, label = ImageRows(*rows, size)[3]
    assert torch.equal(image, ImageRows(*rows, size).__getitems__([3])[0][0])
    assert label == rows[1][3]


def test_sizes_of_loaders_are_checked():
    with pytest.raises(UsageError, match="batch_size must be at least 1"):
        d2l.load_data_fashion_mnist(0)
    for size in (0, (1, 2, 3), (2.0, 3)):
        with pytest.raises(UsageError, match="resize must be"):
            d2l.load_data_fashion_mnist(8, resize=size)


def test_without_files_the_error_says_what_to_do():
    with pytest.raises(DataError, match=r"YISHENG_OFFLINE=1.*\n.*download it from"):
        d2l.load_data_fashion_mnist(8)
    with pytest.raises(DataError, match=r"not on this machine\n.*download=True"):
        datasets.MNIST("data")
    with pytest.raises(DataError, match=r"cifar10 are not on this machine\n.*download=True"):
        datasets.CIFAR10("data")
    with pytest.raises(DataError, match="YISHENG_OFFLINE=1"):
        datasets.CIFAR10("data", download=True)


@pytest.mark.realdata
def test_fashion_mnist_is_complete_and_smaller_in_fast_mode(monkeypatch, capsys):
    train, test = d2l.load_data_fashion_mnist(256)
    assert (len(train.dataset), len(test.dataset)) == (60_000, 10_000)
    x, y = next(iter(test))
    assert (x.shape, x.dtype, y.dtype) == ((256, 1, 28, 28), torch.float32, torch.int64)
    assert float(x.min()) == 0
    assert float(x.max()) == 1
    plain = datasets.FashionMNIST("nowhere", train=False, transform=transforms.ToTensor())
    assert torch.equal(plain[5][0], test.dataset[5][0])
    assert plain.class_to_idx["Ankle boot"] == 9
    monkeypatch.setenv("YISHENG_D2L_FAST", "1")
    train, test = d2l.load_data_fashion_mnist(64, resize=96)
    assert len(train.dataset) < 1000
    assert "YISHENG_D2L_FAST=1: Fashion-MNIST (train) has the first" in capsys.readouterr().err
    assert len(datasets.FashionMNIST(None)) == 25_600


@pytest.mark.realdata
def test_mnist_and_files_of_torchvision(tmp_path):
    from yisheng.data import hub

    digits = datasets.MNIST(tmp_path, train=False)
    image, label = digits[0]
    assert (image.mode, image.size, label) == ("L", (28, 28), 7)
    assert (len(digits), digits.classes[0]) == (10_000, "0 - zero")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, path in hub.fetch("mnist").items():
        if name.startswith("t10k"):
            (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    assert torch.equal(datasets.MNIST(tmp_path, train=False).data, digits.data)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    assert torch.equal(datasets.MNIST(tmp_path, train=False).targets, digits.targets)


@pytest.mark.slow
@pytest.mark.realdata
def test_cifar10():
    data = datasets.CIFAR10("nowhere", train=False, transform=transforms.ToTensor())
    assert len(data) == 10_000
    assert data.data.shape == (10_000, 32, 32, 3)
    assert np.bincount(data.targets).tolist() == [1000] * 10
    image, label = data[0]
    assert torch.equal(image, transforms.ToTensor()(data.data[0]))
    assert label == data.targets[0]


def test_image_folders(tmp_path, monkeypatch, capsys):
    for name, count in (("b", 3), ("a", 20)):
        (tmp_path / name / "inner").mkdir(parents=True)
        for number in range(count):
            folder = tmp_path / name / ("inner" if number % 2 else "")
            Image.new("L", (4, 5), number).save(folder / f"{number}.png")
    (tmp_path / "a" / "notes.txt").write_text("")
    data = datasets.ImageFolder(tmp_path, transform=transforms.ToTensor(), target_transform=lambda y: -y)
    assert (data.classes, data.class_to_idx) == (["a", "b"], {"a": 0, "b": 1})
    assert (len(data), data.targets.count(1)) == (23, 3)
    assert repr(data) == "Dataset ImageFolder\n    Number of datapoints: 23"
    image, target = data[22]
    assert (image.shape, target) == ((3, 5, 4), -1)
    monkeypatch.setenv("YISHENG_D2L_FAST", "1")
    assert len(datasets.ImageFolder(tmp_path)) == 16 + 3
    assert "has the first 16 of 20 rows only" in capsys.readouterr().err


def test_errors_of_image_folders(tmp_path):
    with pytest.raises(DataError, match=r"does not exist \(the present folder is"):
        datasets.ImageFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no folders"):
        datasets.ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        datasets.ImageFolder(tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1\.png is not an intact image"):
        datasets.ImageFolder(tmp_path)[0]


@pytest.mark.parametrize(
    ("build", "parameters", "tensors"),
    [(models.resnet18, 11_689_512, 122), (models.resnet34, 21_797_672, 218), (models.resnet50, 25_557_032, 320)],
)
def test_networks_have_torchvisions_layers(build, parameters, tensors):
    with torch.device("meta"):
        net = build()
        assert net(torch.empty(1, 3, 64, 64)).shape == (1, 1000)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    names = net.state_dict()
    assert len(names) == tensors
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer2.0.downsample.1.weight",
        "layer4.1.conv2.weight",
        "fc.bias",
    } <= set(names)


def test_heads_are_replaced_as_in_the_book():
    net = models.resnet18(num_classes=1)
    assert net.fc.out_features == 1
    net.fc = torch.nn.Linear(net.fc.in_features, 2)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 2)


@pytest.mark.parametrize("arguments", [{"pretrained": True}, {"weights": "DEFAULT"}, {"weights": "IMAGENET1K_V1"}])
def test_published_weights_come_from_the_hub(arguments):
    with pytest.raises(DataError, match=r"weights/resnet18-f37072fd\.pth.*\n.*download it from"):
        models.resnet18(**arguments)
    with pytest.raises(DataError, match="resnet18-f37072fd"):
        models.resnet18(models.ResNet18_Weights.DEFAULT)


def test_weights_are_loaded(monkeypatch, tmp_path):
    torch.manual_seed(0)
    source = models.resnet18()
    path = tmp_path / "resnet18.pth"
    torch.save(source.state_dict(), path)
    monkeypatch.setattr(models.hub, "fetch_file", lambda name, file: path)
    net = models.resnet18(pretrained=True)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(net.eval()(x), source.eval()(x))


def test_wrong_weights_are_refused():
    with pytest.raises(UsageError, match="resnet18 has no weights 'IMAGENET'"):
        models.resnet18(weights="IMAGENET")
    with pytest.raises(UsageError, match="did you mean num_classes"):
        models.resnet18(num_clases=2)
    with pytest.raises(UsageError, match=r"1000 classes.*\n.*net\.fc = nn\.Linear\(net\.fc\.in_features, 2\)"):
        models.resnet18(pretrained=True, num_classes=2)
