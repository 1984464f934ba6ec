"""The chapters of `tests/d2l/chapters`: cells in the book's style, for every name that the book uses."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "chapters"
CHAPTERS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.txt"))}
NEEDS_DATA = re.compile(r"load_data_fashion_mnist|FashionMNIST|d2l\.download\(\"kaggle")

OWN_NAMES = [
    *("DATA_HUB", "DATA_URL", "download", "download_extract", "download_all", "load_array"),
    *("load_data_fashion_mnist", "get_fashion_mnist_labels", "get_dataloader_workers"),
    *("synthetic_data", "read_csv_labels", "reorg_train_valid", "reorg_test", "copyfile", "linreg"),
    *("corr2d", "Residual", "resnet18", "squared_loss", "sgd", "accuracy", "evaluate_accuracy"),
    *("evaluate_loss", "evaluate_accuracy_gpu", "train_epoch_ch3", "train_ch3", "predict_ch3"),
    *("train_ch6", "train_batch_ch13", "train_ch13", "Accumulator", "Animator", "Timer", "Benchmark"),
    *("try_gpu", "try_all_gpus", "plot", "set_axes", "set_figsize", "use_svg_display", "show_images"),
    *("plt", "Image"),
]
ALIASES = [
    *("ones", "zeros", "tensor", "arange", "meshgrid", "sin", "sinh", "cos", "cosh", "tanh"),
    *("linspace", "exp", "log", "normal", "rand", "randn", "matmul", "int32", "float32", "concat"),
    *("stack", "abs", "eye", "numpy", "size", "reshape", "to", "reduce_sum", "argmax", "astype"),
    *("transpose", "reduce_mean", "nn_Module"),
]


def count_cells(text: str) -> int:
    """Return the number of cells of a chapter."""
    return len(re.findall(r"^# %%", text, re.MULTILINE))
