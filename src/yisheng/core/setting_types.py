"""Types of the settings that `yisheng.train` and its siblings take as keywords.

Editors complete them, and type checkers check them.
`Settings` has every key of the config and every option of a registered component; `SearchSettings` has the same keys,
whose values may also be alternatives or a range. A type checker refuses any other keyword. The options of a component
of your own, or of a plugin's, are therefore written into a mapping: ``model={"name": Net, "width": 8}``.

This file is written by ``python scripts/write_setting_types.py`` from `yisheng.core.config.Config` and the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal, Protocol, TypeAlias, TypedDict, TypeVar, Union

    import torch
    from torch import nn

    class SupportsRange(Protocol):
        """A range of numbers that a search draws from, as `yisheng.search.axes.Range`."""

        @property
        def scale(self) -> Literal["log", "uniform", "int", "logint"]:
            """Return how the numbers are spread."""

        @property
        def low(self) -> float:
            """Return the smallest number."""

        @property
        def high(self) -> float:
            """Return the largest number."""

    T = TypeVar("T")
    Varied: TypeAlias = Union[T, Sequence[T], str, SupportsRange]  # noqa: UP007  # a name in quotes allows no |
    """A value, a list of alternatives, or a range: an object, or text as ``log(1e-4,1)``."""

    ModelName: TypeAlias = Literal[
        "airbench",
        "alexnet",
        "auto",
        "boosting",
        "catboost",
        "embedded-mlp",
        "ensemble",
        "forest",
        "googlenet",
        "kernel",
        "lasso",
        "lenet",
        "lightgbm",
        "linear",
        "logistic",
        "mlp",
        "neighbors",
        "nin",
        "resnet18",
        "resnet34",
        "resnet50",
        "ridge",
        "squeezenet1-0",
        "squeezenet1-1",
        "tabicl",
        "tabm",
        "vgg11",
        "vgg11-bn",
        "vgg13",
        "vgg13-bn",
        "vgg16",
        "vgg16-bn",
        "vgg19",
        "vgg19-bn",
    ]
    Model: TypeAlias = "ModelName | str | nn.Module | Callable[..., nn.Module] | Mapping[str, Any]"
    """Model: its name, an object of your own, or a mapping with ``name`` and options."""

    InitName: TypeAlias = Literal[
        "constant",
        "default",
        "kaiming-normal",
        "kaiming-uniform",
        "normal",
        "uniform",
        "xavier-normal",
        "xavier-uniform",
        "zeros",
    ]
    Init: TypeAlias = "InitName | str | Callable[..., Any] | Mapping[str, Any]"
    """Initialization: its name, an object of your own, or a mapping with ``name`` and options."""

    LossName: TypeAlias = Literal[
        "auto", "binary-cross-entropy", "cross-entropy", "half-mse", "huber", "l1", "mse", "pinball"
    ]
    Loss: TypeAlias = "LossName | str | Callable[..., Any] | Mapping[str, Any]"
    """Loss: its name, an object of your own, or a mapping with ``name`` and options."""

    OptimizerName: TypeAlias = Literal[
        "adam", "adamw", "auto", "lbfgs", "momentum", "muon", "nesterov", "none", "rmsprop", "sgd"
    ]
    Optimizer: TypeAlias = (
        "OptimizerName | str | torch.optim.Optimizer | Callable[..., torch.optim.Optimizer] | Mapping[str, Any]"
    )
    """Optimizer: its name, an object of your own, or a mapping with ``name`` and options."""

    ScheduleName: TypeAlias = Literal["constant", "cosine", "exponential", "inverse", "one-cycle", "step"]
    Schedule: TypeAlias = "ScheduleName | str | Callable[..., Any] | Mapping[str, Any]"
    """Schedule: its name, an object of your own, or a mapping with ``name`` and options."""

    ScaleName: TypeAlias = Literal[
        "auto", "codes", "columns", "each-input", "imagenet", "log", "none", "raw", "standard", "unit"
    ]
    Scale: TypeAlias = "ScaleName | str | Mapping[str, Any]"
    """Scaling: its name, or a mapping with ``name`` and options."""

    AugmentationName: TypeAlias = Literal[
        "auto", "crop", "erase", "flip", "jitter", "mixup", "none", "resized-crop", "vertical-flip"
    ]
    Augmentation: TypeAlias = "AugmentationName | str | Callable[..., Any] | Mapping[str, Any]"
    """Augmentation: its name, an object of your own, or a mapping with ``name`` and options."""

    MetricName: TypeAlias = Literal[
        "accuracy",
        "calibration-error",
        "confusion-matrix",
        "f1-macro",
        "f1-micro",
        "f1-weighted",
        "hamming-loss",
        "log-loss",
        "log-rmse",
        "mae",
        "mse",
        "precision-macro",
        "precision-micro",
        "precision-weighted",
        "r2",
        "recall-macro",
        "recall-micro",
        "recall-weighted",
        "rmse",
        "roc-auc-ovr-macro",
        "subset-accuracy",
        "top-3-accuracy",
        "top-5-accuracy",
    ]
    Metric: TypeAlias = "MetricName | str | Callable[..., Any] | Mapping[str, Any]"
    """Metric: its name, an object of your own, or a mapping with ``name`` and options."""

    class CommonSettings(TypedDict, total=False):
        """The keys of `Settings` that no function has as a parameter."""

        model: Model
        """Network (see `yisheng models`)."""
        weights: str | Path | None
        """Pretrained weights: a .pth or .safetensors file, a name in the hub, or a run folder."""
        finetune: Literal["all", "head", "gradual"] | None
        """With weights=: train all layers (default), the head, or from the head on gradually more."""
        head_lr: float | None
        """With weights=: learning rate of the head, as a multiple of lr (default 10)."""
        feature_cache: int | Literal["auto", "off"]
        """With finetune=head: compute the frozen layers in every epoch (off), or once for this number of augmented
        versions of each image (auto: 1 without augment=, else off)."""
        init: Init
        """Initial weights of all linear and convolution layers."""
        init_linear: Init | None
        """Initial weights of linear layers, where they differ from init."""
        init_conv: Init | None
        """Initial weights of convolutions, where they differ from init."""
        loss: Loss
        """Loss function."""
        optimizer: Optimizer
        """Optimizer, with lr and weight_decay."""
        schedule: Schedule
        """Learning rate over the run."""
        scale: Scale
        """Scaling of the inputs, fitted on the training part."""
        target_scale: Scale
        """Scaling of a regression target, undone in prediction."""
        augment: Augmentation | Sequence[Augmentation] | None
        """Random changes of the training inputs, in this order (augment=flip,crop); auto: none, or with budget= what
        suits the data."""
        epochs: int | Literal["auto"]
        """Passes over the training part; 0: train nothing, score the weights that the network has."""
        budget: float | str | None
        """Time for training, as 90s, 5m or 1h; values that you leave out are chosen to fit it (auto: up to 1m for a
        table of yours if nothing says which model to train or how; none: one training, of any length)."""
        batch: int | Literal["auto"]
        """Samples per forward pass."""
        accumulate: int
        """Forward passes per update: one update sees batch x accumulate samples."""
        shards: int | Literal["auto"]
        """Parts of each batch that are computed independently, a power of two: as many processes or fewer give the same
        bits (auto: the number of processes)."""
        exact: bool | Literal["auto"]
        """With shards: the same bits with any number of processes; false: the same updates up to rounding, with less to
        send (auto: false on CUDA GPUs)."""
        sync_bn: bool
        """With a GPU for each shard: batch norm over the complete batch instead of each shard alone."""
        shard_weights: bool
        """With processes: each holds a part of the weights and of the optimizer's tensors, for networks that are too
        large for one of them; exact=false."""
        shuffle: Literal["auto", "rows", "blocks"]
        """Order of the training rows in each epoch: all at random, or blocks of neighboring rows, for data larger than
        the memory (auto: blocks if it is in a file and takes half of the free memory)."""
        seed: int
        """Of every random generator."""
        validation: Any
        """Validation part: a fraction below 1, or a number of rows."""
        test: Any
        """Test part, where the data has no official one."""
        split: Literal["auto", "random", "contiguous", "time"]
        """How parts are drawn: at random, in the order of the rows, or in time (auto: time if known)."""
        folds: int | None
        """Cross-validation: train k models, each validated on another fold, and average predictions."""
        repeats: int
        """With folds=: number of draws of the folds."""
        fold: str | None
        """Train on one of k folds, as 2/5: that fold is the validation part."""
        repeat: int
        """With fold=: which draw of the folds."""
        score: Metric | Literal["auto", "loss"]
        """Validation score that chooses the best epoch: a metric's name, or loss."""
        metrics: Metric | Sequence[Metric] | Mapping[str, Callable[..., Any]]
        """More metrics to report: names, or functions of your own (metrics=file.py:f2)."""
        output: str | int | None
        """What the loss gets of a network of your own that returns several: a name or a position."""
        boosting: bool | Literal["auto"]
        """Compare with boosted trees on the same rows (auto: for tables from files)."""
        importance: bool | Literal["auto"]
        """Measure the importance of a table's columns, for the report (auto: for tables from files)."""
        groups: str | None
        """A column of the table by whose values the scores are reported too, as groups=sex."""
        calibrate: bool
        """Fit a temperature to the validation part that makes probabilities fit the accuracy, and keep it with the
        model if it is better on rows that it was not fitted to."""
        patience: int
        """Stop after this number of epochs without a better score; 0: never (not with folds)."""
        l1: float
        """L1 penalty: l1 times the sum of the absolute weights (without biases) is added to the loss."""
        clip_norm: float | None
        """Largest norm of all gradients together."""
        clip_value: float | None
        """Largest absolute value of any gradient."""
        precision: Literal["auto", "fp32", "bf16", "fp64"]
        """Of training and its validation: fp32, or bf16 (weights stay fp32) where a short measurement shows that it is
        faster; fp64 is for proofs."""
        memory_format: Literal["auto", "contiguous", "channels-last"]
        """Order of an image's values in convolutions; auto: the faster one in a short measurement."""
        compile: bool | Literal["auto"]
        """Compile the network's forward and backward pass with torch.compile; auto: in trainings of half an hour or
        more, if a trial shows that it is faster."""
        scratch: bool
        """Train with layers, loss and optimizer written from scratch, and compare with the library's."""
        doctor: Literal["off", "passive", "full"]
        """Watch the training for problems; full: also try remedies before it."""
        ood: bool
        """After the training, fit a detector of inputs that are unlike the training data."""
        visdom: str | None
        """Address of a Visdom server that shows the curves, as http://localhost:8097."""
        tracker: Literal["mlflow", "wandb", "trackio"] | None
        """Also write settings, curves and scores to this experiment tracker, which must be installed."""
        watch: bool
        """Serve a page in the browser that follows the run."""
        decay_bias: bool
        """Weight decay on biases and norm layers too."""
        device: str
        """auto, cpu, cuda, cuda:1, mps."""
        name: str | None
        """Name of the run, for its folder, its report and `yisheng runs`."""
        notes: str | None
        """A text that is kept with the run; it changes nothing."""
        log_every: int
        """Write every n-th step to events.jsonl."""
        checkpoint_every: float
        """Seconds between checkpoints; 0: after every step."""
        activation: Literal[
            "relu",
            "leaky-relu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "softplus",
            "sigmoid",
            "scaled-sigmoid",
            "tanh",
            "identity",
        ]
        """After each hidden layer (model=embedded-mlp, model=mlp)."""
        ahead: int
        """Trading days to predict ahead (data=ohlc)."""
        alpha: float | None
        """The penalty α, in the target's scale; if not given, it is chosen for each target by the squared error in five
        random folds of the training rows (model=lasso, optimizer=rmsprop, augment=mixup)."""
        arch: Literal["tabm", "tabm-mini"]
        """tabm has scales of each member in every layer; tabm-mini only at the input, which is about as good and faster
        (model=tabm)."""
        area: Sequence[float]
        """Smallest and largest fraction of the image that is erased. The paper's values (augment=erase,
        augment=resized-crop)."""
        aux_lr: float
        """Learning rate of the parameters whose steps are not orthogonalized, in multiples of lr (optimizer=muon)."""
        b: float
        """The true bias (data=linear)."""
        bag_folds: int
        """Number of folds of the training part; each candidate is trained without each of them once
        (model=ensemble)."""
        batch_norm: bool | Literal["auto"]
        """Whether every convolution is normalized; auto: yes, except in the textbook's style, which therefore trains
        slowly at first (model=googlenet, model=mlp)."""
        betas: Sequence[float]
        """Fractions of the two means that a step keeps; the paper's average over about 10 and 1000 steps
        (optimizer=adam, optimizer=adamw)."""
        blocks: int
        """Number of hidden layers (model=tabm)."""
        brightness: Sequence[float]
        """Smallest and largest factor (augment=jitter)."""
        candidates: Sequence[
            Literal[
                "boosting",
                "linear",
                "extra-trees",
                "tabm",
                "boosting-small",
                "boosting-long",
                "boosting-deep",
                "embedded-mlp",
                "random-forest",
                "neighbors",
                "boosting-extra",
                "tabm-2",
                "boosting-encoded",
                "tabicl",
                "lasso",
                "kernel",
                "boosting-without-texts",
                "boosting-codes",
                "linear-codes",
                "kernel-codes",
                "tabm-codes",
                "boosting-symmetric",
            ]
        ]
        """What is tried; all by default, in an order that depends on the number of rows (model=ensemble)."""
        cat_l2: float
        """Further penalty of the leaves of a split by categories (model=lightgbm)."""
        cat_smooth: float
        """Categories are ordered by Σ gradient / (Σ hessian + cat_smooth), and one with fewer rows than this is not
        split off: the smaller, the more is learned from infrequent categories (model=lightgbm)."""
        checkpoint: str | None
        """A file of weights of the same form, instead of the published ones (model=tabicl)."""
        class_weight: float | Sequence[float] | Literal["balanced"] | None
        """A weight for each class, or balanced for n / (C n_c), which gives every class the same total weight and the
        training part a mean weight of 1 (loss=cross-entropy)."""
        classes: Sequence[str]
        """Names of the classes 0, 1, ... or of the labels (data=in-memory)."""
        clip: float | Literal["auto"]
        """Scaled numbers are bent so that they stay below it, x / sqrt(1 + (x/clip)²); 0 turns it off. auto is 3,
        RealMLP's, and 0 for numbers=none: otherwise a row far outside could move a network arbitrarily (scale=columns,
        target_scale=columns)."""
        color: Literal["auto", "gray", "rgb"]
        """gray or rgb; auto is gray if all images are (data=folder, data=labels)."""
        column_fraction: float | None
        """Fraction of the columns, drawn again at each split, that may be split; a third if not given, and at least
        three columns. Columns whose values are all equal do not count (model=boosting, model=catboost, model=forest and
        1 others)."""
        columns: Sequence[str]
        """The columns or keys to learn from; all others by default (data=in-memory)."""
        contrast: Sequence[float]
        """Smallest and largest factor (augment=jitter)."""
        decimal: str
        """The mark before decimals, point or comma; auto decides by all columns together (data=labels, data=shards,
        data=table)."""
        degree: int
        """Number of columns: 3 is right, 1 underfits, 20 overfits. The rows are the same for all (data=polynomial)."""
        delta: float
        """The error from which on the loss is linear, in units of the scaled target: 1 is one standard deviation of a
        standardized target (loss=huber)."""
        depth: int | None
        """Convolutions in each group (model=airbench, model=boosting, model=catboost and 1 others)."""
        distill: bool
        """Replace the ensemble in the end by one model that imitates it: linear, boosted trees or a network. It is a
        little less good, and predicts many times as fast (model=ensemble)."""
        drop: Sequence[str]
        """Columns to leave out, with commas between them (data=shards, data=table, data=in-memory)."""
        dropout: float | Sequence[float]
        """Fraction of the hidden units set to zero in training, for all layers or for each; the many inputs make it
        necessary (model=embedded-mlp, model=mlp, model=tabm)."""
        embedding_size: int | None
        """Length of a number's vector; 8 keeps a table of many columns narrow (model=embedded-mlp, model=tabm)."""
        embeddings: Literal["piecewise-linear", "periodic", "none"]
        """Piecewise-linear: which of the number's bins are below it; periodic: sines and cosines (model=embedded-mlp,
        model=tabm)."""
        encoding: str
        """Of a text file; auto goes by its byte order mark, then tries UTF-8, then the likeliest by its letters
        (data=labels, data=shards, data=table)."""
        eps: float
        """Keeps the quotient finite if gradients vanish (optimizer=adam, optimizer=adamw, optimizer=rmsprop)."""
        estimators: int
        """Predictions that are averaged, each with the columns and classes in another order (model=tabicl)."""
        extra_trees: bool
        """One random threshold for each column and node, instead of the best one (model=lightgbm)."""
        factor: float
        """What each step multiplies the rate by; a tenth is usual (schedule=step)."""
        fill: Literal["random", "mean", "zero"]
        """random, a value from 0 to 255 for each pixel and channel (the paper's best); the mean of the image in each
        channel; or zero, black (augment=erase)."""
        fit: Literal["crop", "squash", "pad"]
        """How an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
        or padded with black (pad). Prediction does the same (data=flowers-102, data=folder, data=hymenoptera and 5
        others)."""
        floor: float
        """The factor at the end of the run (schedule=cosine, schedule=one-cycle)."""
        folder: str | Path | None
        """Folder with the four idx files, compressed by gzip or not; by default they are downloaded (data=airfoil,
        data=california-housing, data=fashion-mnist and 8 others)."""
        form: Literal["binary", "jpeg"] | None
        """binary, the published pixels, or jpeg, copies whose pixels differ a little; by default the one that is in the
        cache, or that a mirror holds, or binary (data=cifar10)."""
        format: Literal["auto", "csv", "parquet", "npz"]
        """csv, parquet or npz, for a file whose suffix does not say it (data=table)."""
        frequency: float | None
        """Standard deviation of the initial frequencies of periodic embeddings, in cycles per unit of the scaled
        number; 0.1 if not given. It sets the scale of the details that the network can learn; values from 0.01 to 1 are
        worth trying (model=embedded-mlp, model=tabm)."""
        gain: float
        """Compensates the activation's effect on the variance: 1 for the identity, 5/3 for tanh, √2 for relu
        (init=xavier-normal, init=xavier-uniform)."""
        gamma: float | None
        """The inverse squared width γ of the kernel; if not given, 0.3 divided by the number of columns and by the
        variance of their values (model=kernel)."""
        group: str | Any | None
        """A column whose equal values must stay in the same part and fold; it is not a feature (data=shards,
        data=table, data=in-memory)."""
        header: bool | Literal["auto"]
        """Whether the first line names the columns; without a header they are column-1, column-2, ... (data=shards,
        data=table)."""
        hidden: int | Sequence[int]
        """Units of the hidden layers, from input to output (model=embedded-mlp, model=mlp)."""
        history: int
        """Number of past changes that H is built from (optimizer=lbfgs)."""
        hue: float
        """Largest rotation in either direction, as a fraction of the color circle; 0.5 is the opposite color. 0 by
        default, since colors often distinguish classes (augment=jitter)."""
        id: str | None
        """A column that names the rows, for the submission file; it is not a feature (data=table, data=in-memory)."""
        ids: bool | Literal["auto"]
        """Whether whole numbers are ids, which reach the network unscaled as int64; auto: those of one axis per row
        (data=in-memory)."""
        items: Sequence[str]
        """What the positions of an item are, as in x,y,sample_weight (- is left out) (data=in-memory)."""
        iterations: int
        """Of the method in one update, each with one or two passes over the batch. With few of them the validation
        score can choose among more intermediate weights, which regularizes (optimizer=lbfgs)."""
        k: float | None
        """Number of neighbors; all rows if there are fewer. Rows that are as far away as the last one count too
        (model=neighbors, model=tabm, schedule=inverse)."""
        keys: Mapping[str, str] | Sequence[str]
        """The arrays by role, where their names do not show it, as in x:train_set_x,y:train_set_y; the roles are x, y,
        x_validation, y_validation, x_test, y_test and classes (data=arrays)."""
        kinds: Mapping[str, str] | Sequence[str]
        """Kinds of the columns of rows, as for a table (data=arrays, data=shards, data=table and 1 others)."""
        l2: float | None
        """Penalty λ/2 |value|² of the leaves (model=boosting, model=catboost, model=lightgbm and 3 others)."""
        labels: Sequence[str] | Literal["fine", "coarse", "breed", "species"]
        """Forms of the class names, with commas between them, by which two spellings are one class: strip-dot,
        casefold, blanks, separators, unquote, nfkc; or old:new to rename one (data=cifar100, data=folder, data=labels
        and 3 others)."""
        leaf_rows: int
        """Fewest training rows in a leaf (model=boosting, model=forest, model=lightgbm)."""
        learning_rate: float
        """The same as ``lr``."""
        leaves: int | None
        """Largest number of leaves of a tree; one for about 150 rows if not given, from 8 to 31 (model=boosting,
        model=lightgbm)."""
        lr: float
        """Learning rate, in units of the weights; 0.001 is the paper's, and is suitable for most networks
        (optimizer=adam, optimizer=adamw, optimizer=lbfgs and 5 others)."""
        max_categories: int
        """A column of this many categories or more keeps one less, the most frequent ones; the others count as
        infrequent, so that columns such as postcodes do not become thousands of inputs (scale=columns,
        target_scale=columns)."""
        max_rows: int | None
        """Number of items to read of an iterable data set; an epoch has as many (data=in-memory)."""
        mean: float | Sequence[float]
        """In units of pixel / 255, red, green, blue; one value is for all channels. The default is ImageNet's;
        GoogLeNet's weights need 0.5 for both (init=normal, scale=imagenet, target_scale=imagenet)."""
        method: Literal["random", "extra"]
        """Which chance makes the trees different (model=forest)."""
        min_frequency: int
        """A category in fewer rows of the training part than this is infrequent (scale=columns,
        target_scale=columns)."""
        mirror: bool
        """In evaluation mode return the mean of the outputs for the image and its mirror image. It doubles the time,
        and is useful if a mirrored image has the same class, as in most photographs, but not for letters and digits
        (model=airbench)."""
        missing: Sequence[str]
        """Words that mean a missing value, in addition to the usual ones, and in the target too (data=labels,
        data=shards, data=table)."""
        mode: Literal["fan-in", "fan-out", "zeros", "reflect"]
        """Fan-in keeps the variance of the signals, fan-out that of the gradients; one of them is enough
        (init=kaiming-normal, init=kaiming-uniform, augment=crop)."""
        momentum: float
        """Fraction of the velocity that a step keeps; 0.9 averages over about 10 steps. 0 is `sgd` (optimizer=momentum,
        optimizer=muon, optimizer=nesterov)."""
        monotone: Mapping[str, str] | Sequence[str]
        """Columns of numbers that the prediction may only rise or only fall with, as in area:up,age:down
        (model=boosting, model=catboost, model=lightgbm)."""
        names: Sequence[str]
        """Names of the columns of a file without a header, with commas between them (data=arrays, data=shards,
        data=table)."""
        noise: float
        """Standard deviation of the noise (data=linear, data=polynomial, data=xor)."""
        nonlinearity: Literal["relu", "leaky-relu", "tanh", "sigmoid", "selu", "linear"]
        """The activation that follows, which sets the gain: relu √2, tanh 5/3, selu 3/4, linear and sigmoid 1
        (init=kaiming-normal, init=kaiming-uniform)."""
        ns_steps: int
        """Steps of the Newton-Schulz iteration; 3 for short runs, 5 are nearer to orthogonal (optimizer=muon)."""
        numbers: Literal["standard", "robust", "quantile", "power", "none"]
        """standard: zero mean and unit variance; robust: zero median and unit interquartile range (half of the full
        range if that is 0); quantile: to the normal distribution by rank; power: as normal as a Yeo-Johnson exponent
        makes it, for linear models on skewed columns; none: unscaled (scale=columns, target_scale=columns)."""
        p: float
        """Probability for each image. At 0.5 an image and its mirror image are equally likely (augment=erase,
        augment=flip, augment=vertical-flip)."""
        pad: int
        """Pixels on each side; all (2 pad + 1)^2 places are equally likely. 4 is usual for images of 32x32
        (augment=crop)."""
        part: Any
        """A column, or an array that says train, validation or test for each row (data=in-memory)."""
        path: str
        """The file; data=images.npz is short for it (data=arrays, data=folder, data=labels and 2 others)."""
        pos_weight: float | Literal["balanced"]
        """Weight w of the second class, or of every true label; balanced is the ratio of false to true in the training
        part, for each label. 1 weights all rows alike (loss=binary-cross-entropy)."""
        preactivation: bool
        """Whether batch norm and relu come before each convolution instead of after it; it helps deep networks more
        than shallow ones. Off, since the published weights have none (model=resnet18, model=resnet34,
        model=resnet50)."""
        quantile: float
        """The quantile q; 0.5 is the median (loss=pinball)."""
        rate: float
        """What an epoch multiplies the learning rate by; 0.95 leaves 60% after 10 epochs and 8% after 50
        (schedule=exponential)."""
        ratio: int | Sequence[float]
        """What the channels of the convolutions are divided by; 4 makes them about 16 times cheaper, and is the
        textbook's choice for Fashion-MNIST (model=vgg11, model=vgg11-bn, model=vgg13 and 7 others)."""
        rounds: int | None
        """Number of rounds in all; 600 if not given, fewer for many outputs (model=boosting, model=catboost,
        model=lightgbm)."""
        row_fraction: float
        """Fraction of the rows, drawn for each tree, that it is fitted to (model=lightgbm)."""
        sample_weight: Any
        """A column or key, or an array with the weight of each training row (data=in-memory)."""
        saturation: Sequence[float]
        """Smallest and largest factor; at 0 the image becomes gray (augment=jitter)."""
        seconds: float | None
        """Time for all candidates; those for which none is left are not tried. By default all are (model=ensemble)."""
        separator: str
        """Between the values: one character, tab, or blanks for any number of them (data=shards, data=table)."""
        size: int | Sequence[int] | Literal["auto"] | None
        """Height and width of the inputs, one number for both; 224 is the size of networks trained on ImageNet
        (data=fashion-mnist, data=mnist, data=flowers-102 and 8 others)."""
        skip: int | Literal["auto"]
        """Number of lines above the table; auto skips titles, comments that begin with # and sep=; (data=shards,
        data=table)."""
        smoothing: float
        """The target becomes y (1 - s) + s/2; 0 does not change it, 0.1 is usual (loss=binary-cross-entropy,
        loss=cross-entropy)."""
        start: float
        """Factor of the first step; with 1/25 training starts stably at every usable peak (schedule=one-cycle)."""
        std: float | Sequence[float]
        """Standard deviation, in the same units (init=normal, scale=imagenet, target_scale=imagenet)."""
        step_size: int
        """Epochs of each step; 10 makes three steps of 30 epochs (schedule=step)."""
        stream: bool | Literal["auto"]
        """Read the files of a folder at an address one after the other, without a copy of all of them; auto does so if
        the copy would take more than a quarter of the free disk (data=folder, data=shards)."""
        strict: bool
        """A damaged image is an error; by default it is left out and reported (data=flowers-102, data=folder,
        data=hymenoptera and 5 others)."""
        style: Literal["auto", "published", "small", "textbook", "modern", "classic"]
        """auto takes small for images up to 64 pixels and published for larger ones (model=alexnet, model=googlenet,
        model=resnet18 and 14 others)."""
        target: str | Sequence[str] | int | None
        """The column to predict (several, with commas, for several): a name, a number from 1, or last (data=arrays,
        data=labels, data=shards and 2 others)."""
        task: Literal["auto", "classification", "multilabel", "regression"]
        """What to learn; auto depends on the target: texts and few different integers are classes (data=arrays,
        data=folder, data=labels and 3 others)."""
        texts: bool
        """Whether the features of texts are used. Without them the trees of a table with few strong columns and many
        words see the strong ones more often (scale=codes, target_scale=codes)."""
        thousands: str
        """The mark between groups of three digits: point, comma, space, apostrophe or none (data=labels, data=shards,
        data=table)."""
        time: str | Any | None
        """A column of dates or numbers: the data is split in the order of time, never shuffled (data=shards,
        data=table, data=in-memory)."""
        trees: int
        """Number of trees in all (model=forest)."""
        value: float
        """Of every weight; 0.01 is the size of the weights that `normal` draws (init=constant)."""
        w: float | Sequence[float]
        """The true weights, one per column; by default the textbook's (data=linear)."""
        warmup: float
        """Fraction of the run in which the rate rises; a twentieth lets running means (Adam's, batch norm's) converge
        before the steps are large. 0 starts at the peak (schedule=cosine, schedule=one-cycle)."""
        weight_decay: float
        """The factor λ of a penalty λ/2 |w|² in the loss. It is divided by √v̂ like the gradient, so it hardly affects
        weights with large gradients; `adamw` avoids that (optimizer=adam, optimizer=adamw, optimizer=lbfgs and 5
        others)."""
        width: int
        """Units of each hidden layer (model=tabm)."""
        widths: int | Sequence[int]
        """Channels of the groups; each halves an image that has more than one row and column, so three make 3 x 3 of 28
        x 28 (model=airbench)."""
        workers: int
        """Processes that read random items; the numbers do not depend on it (data=in-memory)."""
        wd: float
        """The same as ``weight_decay``."""
        batch_size: int | Literal["auto"]
        """The same as ``batch``."""
        optimiser: Optimizer
        """The same as ``optimizer``."""
        dataset: str
        """The same as ``data``."""
        max_epochs: int | Literal["auto"]
        """The same as ``epochs``."""

    class Settings(CommonSettings, total=False):
        """The keys of a config and the options of registered components."""

        tensorboard: bool
        """Also write the run for TensorBoard (`yisheng tensorboard runs/` shows it)."""
        high: float
        """Upper bound of the weights; 0.05 makes a standard deviation of 0.05/√3 = 0.029 (init=uniform)."""
        low: float
        """Smallest weight; the default interval is symmetric about zero, to prefer neither sign (init=uniform)."""
        n: int
        """Rows (data=linear, data=xor, data=polynomial)."""

    class SearchSettings(TypedDict, total=False):
        """The keys of `Settings`, whose values may be alternatives or a range."""

        model: Varied[Model]
        weights: str | Path | None
        finetune: Varied[Literal["all", "head", "gradual"] | None]
        head_lr: Varied[float | None]
        feature_cache: Varied[int | Literal["auto", "off"]]
        init: Varied[Init]
        init_linear: Varied[Init | None]
        init_conv: Varied[Init | None]
        loss: Varied[Loss]
        optimizer: Varied[Optimizer]
        schedule: Varied[Schedule]
        scale: Varied[Scale]
        target_scale: Varied[Scale]
        augment: Varied[Augmentation | Sequence[Augmentation] | None]
        epochs: Varied[int | Literal["auto"]]
        budget: Varied[float | str | None]
        batch: Varied[int | Literal["auto"]]
        accumulate: Varied[int]
        shards: Varied[int | Literal["auto"]]
        exact: Varied[bool | Literal["auto"]]
        sync_bn: Varied[bool]
        shard_weights: Varied[bool]
        shuffle: Varied[Literal["auto", "rows", "blocks"]]
        seed: int
        validation: Any
        test: Any
        split: Literal["auto", "random", "contiguous", "time"]
        folds: int | None
        repeats: int
        fold: str | None
        repeat: int
        score: Metric | Literal["auto", "loss"]
        metrics: Varied[Metric | Sequence[Metric] | Mapping[str, Callable[..., Any]]]
        output: Varied[str | int | None]
        boosting: bool | Literal["auto"]
        importance: bool | Literal["auto"]
        groups: str | None
        calibrate: bool
        patience: Varied[int]
        l1: Varied[float]
        clip_norm: Varied[float | None]
        clip_value: Varied[float | None]
        precision: Varied[Literal["auto", "fp32", "bf16", "fp64"]]
        memory_format: Varied[Literal["auto", "contiguous", "channels-last"]]
        compile: Varied[bool | Literal["auto"]]
        scratch: bool
        doctor: Literal["off", "passive", "full"]
        ood: bool
        visdom: str | None
        tracker: Literal["mlflow", "wandb", "trackio"] | None
        watch: bool
        decay_bias: Varied[bool]
        device: str
        name: Varied[str | None]
        notes: Varied[str | None]
        log_every: int
        checkpoint_every: float
        activation: Varied[
            Literal[
                "relu",
                "leaky-relu",
                "elu",
                "selu",
                "gelu",
                "silu",
                "softplus",
                "sigmoid",
                "scaled-sigmoid",
                "tanh",
                "identity",
            ]
        ]
        ahead: Varied[int]
        alpha: Varied[float | None]
        arch: Varied[Literal["tabm", "tabm-mini"]]
        area: Varied[Sequence[float]]
        aux_lr: Varied[float]
        b: Varied[float]
        bag_folds: Varied[int]
        batch_norm: Varied[bool | Literal["auto"]]
        betas: Varied[Sequence[float]]
        blocks: Varied[int]
        brightness: Varied[Sequence[float]]
        candidates: Varied[
            Sequence[
                Literal[
                    "boosting",
                    "linear",
                    "extra-trees",
                    "tabm",
                    "boosting-small",
                    "boosting-long",
                    "boosting-deep",
                    "embedded-mlp",
                    "random-forest",
                    "neighbors",
                    "boosting-extra",
                    "tabm-2",
                    "boosting-encoded",
                    "tabicl",
                    "lasso",
                    "kernel",
                    "boosting-without-texts",
                    "boosting-codes",
                    "linear-codes",
                    "kernel-codes",
                    "tabm-codes",
                    "boosting-symmetric",
                ]
            ]
        ]
        cat_l2: Varied[float]
        cat_smooth: Varied[float]
        checkpoint: Varied[str | None]
        class_weight: Varied[float | Sequence[float] | Literal["balanced"] | None]
        classes: Varied[Sequence[str]]
        clip: Varied[float | Literal["auto"]]
        color: Varied[Literal["auto", "gray", "rgb"]]
        column_fraction: Varied[float | None]
        columns: Varied[Sequence[str]]
        contrast: Varied[Sequence[float]]
        decimal: Varied[str]
        degree: Varied[int]
        delta: Varied[float]
        depth: Varied[int | None]
        distill: Varied[bool]
        drop: Varied[Sequence[str]]
        dropout: Varied[float | Sequence[float]]
        embedding_size: Varied[int | None]
        embeddings: Varied[Literal["piecewise-linear", "periodic", "none"]]
        encoding: Varied[str]
        eps: Varied[float]
        estimators: Varied[int]
        extra_trees: Varied[bool]
        factor: Varied[float]
        fill: Varied[Literal["random", "mean", "zero"]]
        fit: Varied[Literal["crop", "squash", "pad"]]
        floor: Varied[float]
        folder: Varied[str | Path | None]
        form: Varied[Literal["binary", "jpeg"] | None]
        format: Varied[Literal["auto", "csv", "parquet", "npz"]]
        frequency: Varied[float | None]
        gain: Varied[float]
        gamma: Varied[float | None]
        group: Varied[str | Any | None]
        header: Varied[bool | Literal["auto"]]
        hidden: Varied[int | Sequence[int]]
        high: Varied[float]
        history: Varied[int]
        hue: Varied[float]
        id: Varied[str | None]
        ids: Varied[bool | Literal["auto"]]
        items: Varied[Sequence[str]]
        iterations: Varied[int]
        k: Varied[float | None]
        keys: Varied[Mapping[str, str] | Sequence[str]]
        kinds: Varied[Mapping[str, str] | Sequence[str]]
        l2: Varied[float | None]
        labels: Varied[Sequence[str] | Literal["fine", "coarse", "breed", "species"]]
        leaf_rows: Varied[int]
        learning_rate: Varied[float]
        leaves: Varied[int | None]
        low: Varied[float]
        lr: Varied[float]
        max_categories: Varied[int]
        max_rows: Varied[int | None]
        mean: Varied[float | Sequence[float]]
        method: Varied[Literal["random", "extra"]]
        min_frequency: Varied[int]
        mirror: Varied[bool]
        missing: Varied[Sequence[str]]
        mode: Varied[Literal["fan-in", "fan-out", "zeros", "reflect"]]
        momentum: Varied[float]
        monotone: Varied[Mapping[str, str] | Sequence[str]]
        names: Varied[Sequence[str]]
        noise: Varied[float]
        nonlinearity: Varied[Literal["relu", "leaky-relu", "tanh", "sigmoid", "selu", "linear"]]
        ns_steps: Varied[int]
        numbers: Varied[Literal["standard", "robust", "quantile", "power", "none"]]
        p: Varied[float]
        pad: Varied[int]
        part: Varied[Any]
        path: Varied[str]
        pos_weight: Varied[float | Literal["balanced"]]
        preactivation: Varied[bool]
        quantile: Varied[float]
        rate: Varied[float]
        ratio: Varied[int | Sequence[float]]
        rounds: Varied[int | None]
        row_fraction: Varied[float]
        sample_weight: Varied[Any]
        saturation: Varied[Sequence[float]]
        seconds: Varied[float | None]
        separator: Varied[str]
        size: Varied[int | Sequence[int] | Literal["auto"] | None]
        skip: Varied[int | Literal["auto"]]
        smoothing: Varied[float]
        start: Varied[float]
        std: Varied[float | Sequence[float]]
        step_size: Varied[int]
        stream: Varied[bool | Literal["auto"]]
        strict: Varied[bool]
        style: Varied[Literal["auto", "published", "small", "textbook", "modern", "classic"]]
        target: Varied[str | Sequence[str] | int | None]
        task: Varied[Literal["auto", "classification", "multilabel", "regression"]]
        texts: Varied[bool]
        thousands: Varied[str]
        time: Varied[str | Any | None]
        trees: Varied[int]
        value: Varied[float]
        w: Varied[float | Sequence[float]]
        warmup: Varied[float]
        weight_decay: Varied[float]
        width: Varied[int]
        widths: Varied[int | Sequence[int]]
        workers: Varied[int]
        wd: Varied[float]
        batch_size: Varied[int | Literal["auto"]]
        optimiser: Varied[Optimizer]
        dataset: Varied[str]
        max_epochs: Varied[int | Literal["auto"]]

    class OwnComponents(TypedDict, total=False):
        """Components of your own that a saved run is given again."""

        model: Model | None
        """Network (see `yisheng models`)."""
        init: Init | None
        """Initial weights of all linear and convolution layers."""
        init_linear: Init | None
        """Initial weights of linear layers, where they differ from init."""
        init_conv: Init | None
        """Initial weights of convolutions, where they differ from init."""
        loss: Loss | None
        """Loss function."""
        optimizer: Optimizer | None
        """Optimizer, with lr and weight_decay."""
        schedule: Schedule | None
        """Learning rate over the run."""
        augment: Augmentation | Sequence[Augmentation] | None
        """Random changes of the training inputs, in this order (augment=flip,crop); auto: none, or with budget= what
        suits the data."""
        metrics: Metric | Sequence[Metric] | Mapping[str, Callable[..., Any]] | None
        """More metrics to report: names, or functions of your own (metrics=file.py:f2)."""


COMMON_SETTINGS: Final = (
    "model",
    "weights",
    "finetune",
    "head_lr",
    "feature_cache",
    "init",
    "init_linear",
    "init_conv",
    "loss",
    "optimizer",
    "schedule",
    "scale",
    "target_scale",
    "augment",
    "epochs",
    "budget",
    "batch",
    "accumulate",
    "shards",
    "exact",
    "sync_bn",
    "shard_weights",
    "shuffle",
    "seed",
    "validation",
    "test",
    "split",
    "folds",
    "repeats",
    "fold",
    "repeat",
    "score",
    "metrics",
    "output",
    "boosting",
    "importance",
    "groups",
    "calibrate",
    "patience",
    "l1",
    "clip_norm",
    "clip_value",
    "precision",
    "memory_format",
    "compile",
    "scratch",
    "doctor",
    "ood",
    "visdom",
    "tracker",
    "watch",
    "decay_bias",
    "device",
    "name",
    "notes",
    "log_every",
    "checkpoint_every",
    "activation",
    "ahead",
    "alpha",
    "arch",
    "area",
    "aux_lr",
    "b",
    "bag_folds",
    "batch_norm",
    "betas",
    "blocks",
    "brightness",
    "candidates",
    "cat_l2",
    "cat_smooth",
    "checkpoint",
    "class_weight",
    "classes",
    "clip",
    "color",
    "column_fraction",
    "columns",
    "contrast",
    "decimal",
    "degree",
    "delta",
    "depth",
    "distill",
    "drop",
    "dropout",
    "embedding_size",
    "embeddings",
    "encoding",
    "eps",
    "estimators",
    "extra_trees",
    "factor",
    "fill",
    "fit",
    "floor",
    "folder",
    "form",
    "format",
    "frequency",
    "gain",
    "gamma",
    "group",
    "header",
    "hidden",
    "history",
    "hue",
    "id",
    "ids",
    "items",
    "iterations",
    "k",
    "keys",
    "kinds",
    "l2",
    "labels",
    "leaf_rows",
    "learning_rate",
    "leaves",
    "lr",
    "max_categories",
    "max_rows",
    "mean",
    "method",
    "min_frequency",
    "mirror",
    "missing",
    "mode",
    "momentum",
    "monotone",
    "names",
    "noise",
    "nonlinearity",
    "ns_steps",
    "numbers",
    "p",
    "pad",
    "part",
    "path",
    "pos_weight",
    "preactivation",
    "quantile",
    "rate",
    "ratio",
    "rounds",
    "row_fraction",
    "sample_weight",
    "saturation",
    "seconds",
    "separator",
    "size",
    "skip",
    "smoothing",
    "start",
    "std",
    "step_size",
    "stream",
    "strict",
    "style",
    "target",
    "task",
    "texts",
    "thousands",
    "time",
    "trees",
    "value",
    "w",
    "warmup",
    "weight_decay",
    "width",
    "widths",
    "workers",
    "wd",
    "batch_size",
    "optimiser",
    "dataset",
    "max_epochs",
)

if TYPE_CHECKING:

    def gather_common_settings(
        *,
        model: Any = ...,
        weights: Any = ...,
        finetune: Any = ...,
        head_lr: Any = ...,
        feature_cache: Any = ...,
        init: Any = ...,
        init_linear: Any = ...,
        init_conv: Any = ...,
        loss: Any = ...,
        optimizer: Any = ...,
        schedule: Any = ...,
        scale: Any = ...,
        target_scale: Any = ...,
        augment: Any = ...,
        epochs: Any = ...,
        budget: Any = ...,
        batch: Any = ...,
        accumulate: Any = ...,
        shards: Any = ...,
        exact: Any = ...,
        sync_bn: Any = ...,
        shard_weights: Any = ...,
        shuffle: Any = ...,
        seed: Any = ...,
        validation: Any = ...,
        test: Any = ...,
        split: Any = ...,
        folds: Any = ...,
        repeats: Any = ...,
        fold: Any = ...,
        repeat: Any = ...,
        score: Any = ...,
        metrics: Any = ...,
        output: Any = ...,
        boosting: Any = ...,
        importance: Any = ...,
        groups: Any = ...,
        calibrate: Any = ...,
        patience: Any = ...,
        l1: Any = ...,
        clip_norm: Any = ...,
        clip_value: Any = ...,
        precision: Any = ...,
        memory_format: Any = ...,
        compile: Any = ...,
        scratch: Any = ...,
        doctor: Any = ...,
        ood: Any = ...,
        visdom: Any = ...,
        tracker: Any = ...,
        watch: Any = ...,
        decay_bias: Any = ...,
        device: Any = ...,
        name: Any = ...,
        notes: Any = ...,
        log_every: Any = ...,
        checkpoint_every: Any = ...,
        activation: Any = ...,
        ahead: Any = ...,
        alpha: Any = ...,
        arch: Any = ...,
        area: Any = ...,
        aux_lr: Any = ...,
        b: Any = ...,
        bag_folds: Any = ...,
        batch_norm: Any = ...,
        betas: Any = ...,
        blocks: Any = ...,
        brightness: Any = ...,
        candidates: Any = ...,
        cat_l2: Any = ...,
        cat_smooth: Any = ...,
        checkpoint: Any = ...,
        class_weight: Any = ...,
        classes: Any = ...,
        clip: Any = ...,
        color: Any = ...,
        column_fraction: Any = ...,
        columns: Any = ...,
        contrast: Any = ...,
        decimal: Any = ...,
        degree: Any = ...,
        delta: Any = ...,
        depth: Any = ...,
        distill: Any = ...,
        drop: Any = ...,
        dropout: Any = ...,
        embedding_size: Any = ...,
        embeddings: Any = ...,
        encoding: Any = ...,
        eps: Any = ...,
        estimators: Any = ...,
        extra_trees: Any = ...,
        factor: Any = ...,
        fill: Any = ...,
        fit: Any = ...,
        floor: Any = ...,
        folder: Any = ...,
        form: Any = ...,
        format: Any = ...,
        frequency: Any = ...,
        gain: Any = ...,
        gamma: Any = ...,
        group: Any = ...,
        header: Any = ...,
        hidden: Any = ...,
        history: Any = ...,
        hue: Any = ...,
        id: Any = ...,
        ids: Any = ...,
        items: Any = ...,
        iterations: Any = ...,
        k: Any = ...,
        keys: Any = ...,
        kinds: Any = ...,
        l2: Any = ...,
        labels: Any = ...,
        leaf_rows: Any = ...,
        learning_rate: Any = ...,
        leaves: Any = ...,
        lr: Any = ...,
        max_categories: Any = ...,
        max_rows: Any = ...,
        mean: Any = ...,
        method: Any = ...,
        min_frequency: Any = ...,
        mirror: Any = ...,
        missing: Any = ...,
        mode: Any = ...,
        momentum: Any = ...,
        monotone: Any = ...,
        names: Any = ...,
        noise: Any = ...,
        nonlinearity: Any = ...,
        ns_steps: Any = ...,
        numbers: Any = ...,
        p: Any = ...,
        pad: Any = ...,
        part: Any = ...,
        path: Any = ...,
        pos_weight: Any = ...,
        preactivation: Any = ...,
        quantile: Any = ...,
        rate: Any = ...,
        ratio: Any = ...,
        rounds: Any = ...,
        row_fraction: Any = ...,
        sample_weight: Any = ...,
        saturation: Any = ...,
        seconds: Any = ...,
        separator: Any = ...,
        size: Any = ...,
        skip: Any = ...,
        smoothing: Any = ...,
        start: Any = ...,
        std: Any = ...,
        step_size: Any = ...,
        stream: Any = ...,
        strict: Any = ...,
        style: Any = ...,
        target: Any = ...,
        task: Any = ...,
        texts: Any = ...,
        thousands: Any = ...,
        time: Any = ...,
        trees: Any = ...,
        value: Any = ...,
        w: Any = ...,
        warmup: Any = ...,
        weight_decay: Any = ...,
        width: Any = ...,
        widths: Any = ...,
        workers: Any = ...,
        wd: Any = ...,
        batch_size: Any = ...,
        optimiser: Any = ...,
        dataset: Any = ...,
        max_epochs: Any = ...,
    ) -> dict[str, Any]: ...

else:

    def gather_common_settings(**keywords: Any) -> dict[str, Any]:
        """Return the keywords; an editor completes the parameters that are declared above."""
        return keywords


SETTINGS: Final = (
    "model",
    "weights",
    "finetune",
    "head_lr",
    "feature_cache",
    "init",
    "init_linear",
    "init_conv",
    "loss",
    "optimizer",
    "schedule",
    "scale",
    "target_scale",
    "augment",
    "epochs",
    "budget",
    "batch",
    "accumulate",
    "shards",
    "exact",
    "sync_bn",
    "shard_weights",
    "shuffle",
    "seed",
    "validation",
    "test",
    "split",
    "folds",
    "repeats",
    "fold",
    "repeat",
    "score",
    "metrics",
    "output",
    "boosting",
    "importance",
    "groups",
    "calibrate",
    "patience",
    "l1",
    "clip_norm",
    "clip_value",
    "precision",
    "memory_format",
    "compile",
    "scratch",
    "doctor",
    "ood",
    "tensorboard",
    "visdom",
    "tracker",
    "watch",
    "decay_bias",
    "device",
    "name",
    "notes",
    "log_every",
    "checkpoint_every",
    "activation",
    "ahead",
    "alpha",
    "arch",
    "area",
    "aux_lr",
    "b",
    "bag_folds",
    "batch_norm",
    "betas",
    "blocks",
    "brightness",
    "candidates",
    "cat_l2",
    "cat_smooth",
    "checkpoint",
    "class_weight",
    "classes",
    "clip",
    "color",
    "column_fraction",
    "columns",
    "contrast",
    "decimal",
    "degree",
    "delta",
    "depth",
    "distill",
    "drop",
    "dropout",
    "embedding_size",
    "embeddings",
    "encoding",
    "eps",
    "estimators",
    "extra_trees",
    "factor",
    "fill",
    "fit",
    "floor",
    "folder",
    "form",
    "format",
    "frequency",
    "gain",
    "gamma",
    "group",
    "header",
    "hidden",
    "high",
    "history",
    "hue",
    "id",
    "ids",
    "items",
    "iterations",
    "k",
    "keys",
    "kinds",
    "l2",
    "labels",
    "leaf_rows",
    "learning_rate",
    "leaves",
    "low",
    "lr",
    "max_categories",
    "max_rows",
    "mean",
    "method",
    "min_frequency",
    "mirror",
    "missing",
    "mode",
    "momentum",
    "monotone",
    "n",
    "names",
    "noise",
    "nonlinearity",
    "ns_steps",
    "numbers",
    "p",
    "pad",
    "part",
    "path",
    "pos_weight",
    "preactivation",
    "quantile",
    "rate",
    "ratio",
    "rounds",
    "row_fraction",
    "sample_weight",
    "saturation",
    "seconds",
    "separator",
    "size",
    "skip",
    "smoothing",
    "start",
    "std",
    "step_size",
    "stream",
    "strict",
    "style",
    "target",
    "task",
    "texts",
    "thousands",
    "time",
    "trees",
    "value",
    "w",
    "warmup",
    "weight_decay",
    "width",
    "widths",
    "workers",
    "wd",
    "batch_size",
    "optimiser",
    "dataset",
    "max_epochs",
)

if TYPE_CHECKING:

    def gather_settings(
        *,
        model: Any = ...,
        weights: Any = ...,
        finetune: Any = ...,
        head_lr: Any = ...,
        feature_cache: Any = ...,
        init: Any = ...,
        init_linear: Any = ...,
        init_conv: Any = ...,
        loss: Any = ...,
        optimizer: Any = ...,
        schedule: Any = ...,
        scale: Any = ...,
        target_scale: Any = ...,
        augment: Any = ...,
        epochs: Any = ...,
        budget: Any = ...,
        batch: Any = ...,
        accumulate: Any = ...,
        shards: Any = ...,
        exact: Any = ...,
        sync_bn: Any = ...,
        shard_weights: Any = ...,
        shuffle: Any = ...,
        seed: Any = ...,
        validation: Any = ...,
        test: Any = ...,
        split: Any = ...,
        folds: Any = ...,
        repeats: Any = ...,
        fold: Any = ...,
        repeat: Any = ...,
        score: Any = ...,
        metrics: Any = ...,
        output: Any = ...,
        boosting: Any = ...,
        importance: Any = ...,
        groups: Any = ...,
        calibrate: Any = ...,
        patience: Any = ...,
        l1: Any = ...,
        clip_norm: Any = ...,
        clip_value: Any = ...,
        precision: Any = ...,
        memory_format: Any = ...,
        compile: Any = ...,
        scratch: Any = ...,
        doctor: Any = ...,
        ood: Any = ...,
        tensorboard: Any = ...,
        visdom: Any = ...,
        tracker: Any = ...,
        watch: Any = ...,
        decay_bias: Any = ...,
        device: Any = ...,
        name: Any = ...,
        notes: Any = ...,
        log_every: Any = ...,
        checkpoint_every: Any = ...,
        activation: Any = ...,
        ahead: Any = ...,
        alpha: Any = ...,
        arch: Any = ...,
        area: Any = ...,
        aux_lr: Any = ...,
        b: Any = ...,
        bag_folds: Any = ...,
        batch_norm: Any = ...,
        betas: Any = ...,
        blocks: Any = ...,
        brightness: Any = ...,
        candidates: Any = ...,
        cat_l2: Any = ...,
        cat_smooth: Any = ...,
        checkpoint: Any = ...,
        class_weight: Any = ...,
        classes: Any = ...,
        clip: Any = ...,
        color: Any = ...,
        column_fraction: Any = ...,
        columns: Any = ...,
        contrast: Any = ...,
        decimal: Any = ...,
        degree: Any = ...,
        delta: Any = ...,
        depth: Any = ...,
        distill: Any = ...,
        drop: Any = ...,
        dropout: Any = ...,
        embedding_size: Any = ...,
        embeddings: Any = ...,
        encoding: Any = ...,
        eps: Any = ...,
        estimators: Any = ...,
        extra_trees: Any = ...,
        factor: Any = ...,
        fill: Any = ...,
        fit: Any = ...,
        floor: Any = ...,
        folder: Any = ...,
        form: Any = ...,
        format: Any = ...,
        frequency: Any = ...,
        gain: Any = ...,
        gamma: Any = ...,
        group: Any = ...,
        header: Any = ...,
        hidden: Any = ...,
        high: Any = ...,
        history: Any = ...,
        hue: Any = ...,
        id: Any = ...,
        ids: Any = ...,
        items: Any = ...,
        iterations: Any = ...,
        k: Any = ...,
        keys: Any = ...,
        kinds: Any = ...,
        l2: Any = ...,
        labels: Any = ...,
        leaf_rows: Any = ...,
        learning_rate: Any = ...,
        leaves: Any = ...,
        low: Any = ...,
        lr: Any = ...,
        max_categories: Any = ...,
        max_rows: Any = ...,
        mean: Any = ...,
        method: Any = ...,
        min_frequency: Any = ...,
        mirror: Any = ...,
        missing: Any = ...,
        mode: Any = ...,
        momentum: Any = ...,
        monotone: Any = ...,
        n: Any = ...,
        names: Any = ...,
        noise: Any = ...,
        nonlinearity: Any = ...,
        ns_steps: Any = ...,
        numbers: Any = ...,
        p: Any = ...,
        pad: Any = ...,
        part: Any = ...,
        path: Any = ...,
        pos_weight: Any = ...,
        preactivation: Any = ...,
        quantile: Any = ...,
        rate: Any = ...,
        ratio: Any = ...,
        rounds: Any = ...,
        row_fraction: Any = ...,
        sample_weight: Any = ...,
        saturation: Any = ...,
        seconds: Any = ...,
        separator: Any = ...,
        size: Any = ...,
        skip: Any = ...,
        smoothing: Any = ...,
        start: Any = ...,
        std: Any = ...,
        step_size: Any = ...,
        stream: Any = ...,
        strict: Any = ...,
        style: Any = ...,
        target: Any = ...,
        task: Any = ...,
        texts: Any = ...,
        thousands: Any = ...,
        time: Any = ...,
        trees: Any = ...,
        value: Any = ...,
        w: Any = ...,
        warmup: Any = ...,
        weight_decay: Any = ...,
        width: Any = ...,
        widths: Any = ...,
        workers: Any = ...,
        wd: Any = ...,
        batch_size: Any = ...,
        optimiser: Any = ...,
        dataset: Any = ...,
        max_epochs: Any = ...,
    ) -> dict[str, Any]: ...

else:

    def gather_settings(**keywords: Any) -> dict[str, Any]:
        """Return the keywords; an editor completes the parameters that are declared above."""
        return keywords


SEARCH_SETTINGS: Final = (
    "model",
    "weights",
    "finetune",
    "head_lr",
    "feature_cache",
    "init",
    "init_linear",
    "init_conv",
    "loss",
    "optimizer",
    "schedule",
    "scale",
    "target_scale",
    "augment",
    "epochs",
    "budget",
    "batch",
    "accumulate",
    "shards",
    "exact",
    "sync_bn",
    "shard_weights",
    "shuffle",
    "seed",
    "validation",
    "test",
    "split",
    "folds",
    "repeats",
    "fold",
    "repeat",
    "score",
    "metrics",
    "output",
    "boosting",
    "importance",
    "groups",
    "calibrate",
    "patience",
    "l1",
    "clip_norm",
    "clip_value",
    "precision",
    "memory_format",
    "compile",
    "scratch",
    "doctor",
    "ood",
    "visdom",
    "tracker",
    "watch",
    "decay_bias",
    "device",
    "name",
    "notes",
    "log_every",
    "checkpoint_every",
    "activation",
    "ahead",
    "alpha",
    "arch",
    "area",
    "aux_lr",
    "b",
    "bag_folds",
    "batch_norm",
    "betas",
    "blocks",
    "brightness",
    "candidates",
    "cat_l2",
    "cat_smooth",
    "checkpoint",
    "class_weight",
    "classes",
    "clip",
    "color",
    "column_fraction",
    "columns",
    "contrast",
    "decimal",
    "degree",
    "delta",
    "depth",
    "distill",
    "drop",
    "dropout",
    "embedding_size",
    "embeddings",
    "encoding",
    "eps",
    "estimators",
    "extra_trees",
    "factor",
    "fill",
    "fit",
    "floor",
    "folder",
    "form",
    "format",
    "frequency",
    "gain",
    "gamma",
    "group",
    "header",
    "hidden",
    "high",
    "history",
    "hue",
    "id",
    "ids",
    "items",
    "iterations",
    "k",
    "keys",
    "kinds",
    "l2",
    "labels",
    "leaf_rows",
    "learning_rate",
    "leaves",
    "low",
    "lr",
    "max_categories",
    "max_rows",
    "mean",
    "method",
    "min_frequency",
    "mirror",
    "missing",
    "mode",
    "momentum",
    "monotone",
    "names",
    "noise",
    "nonlinearity",
    "ns_steps",
    "numbers",
    "p",
    "pad",
    "part",
    "path",
    "pos_weight",
    "preactivation",
    "quantile",
    "rate",
    "ratio",
    "rounds",
    "row_fraction",
    "sample_weight",
    "saturation",
    "seconds",
    "separator",
    "size",
    "skip",
    "smoothing",
    "start",
    "std",
    "step_size",
    "stream",
    "strict",
    "style",
    "target",
    "task",
    "texts",
    "thousands",
    "time",
    "trees",
    "value",
    "w",
    "warmup",
    "weight_decay",
    "width",
    "widths",
    "workers",
    "wd",
    "batch_size",
    "optimiser",
    "dataset",
    "max_epochs",
)

if TYPE_CHECKING:

    def gather_search_settings(
        *,
        model: Any = ...,
        weights: Any = ...,
        finetune: Any = ...,
        head_lr: Any = ...,
        feature_cache: Any = ...,
        init: Any = ...,
        init_linear: Any = ...,
        init_conv: Any = ...,
        loss: Any = ...,
        optimizer: Any = ...,
        schedule: Any = ...,
        scale: Any = ...,
        target_scale: Any = ...,
        augment: Any = ...,
        epochs: Any = ...,
        budget: Any = ...,
        batch: Any = ...,
        accumulate: Any = ...,
        shards: Any = ...,
        exact: Any = ...,
        sync_bn: Any = ...,
        shard_weights: Any = ...,
        shuffle: Any = ...,
        seed: Any = ...,
        validation: Any = ...,
        test: Any = ...,
        split: Any = ...,
        folds: Any = ...,
        repeats: Any = ...,
        fold: Any = ...,
        repeat: Any = ...,
        score: Any = ...,
        metrics: Any = ...,
        output: Any = ...,
        boosting: Any = ...,
        importance: Any = ...,
        groups: Any = ...,
        calibrate: Any = ...,
        patience: Any = ...,
        l1: Any = ...,
        clip_norm: Any = ...,
        clip_value: Any = ...,
        precision: Any = ...,
        memory_format: Any = ...,
        compile: Any = ...,
        scratch: Any = ...,
        doctor: Any = ...,
        ood: Any = ...,
        visdom: Any = ...,
        tracker: Any = ...,
        watch: Any = ...,
        decay_bias: Any = ...,
        device: Any = ...,
        name: Any = ...,
        notes: Any = ...,
        log_every: Any = ...,
        checkpoint_every: Any = ...,
        activation: Any = ...,
        ahead: Any = ...,
        alpha: Any = ...,
        arch: Any = ...,
        area: Any = ...,
        aux_lr: Any = ...,
        b: Any = ...,
        bag_folds: Any = ...,
        batch_norm: Any = ...,
        betas: Any = ...,
        blocks: Any = ...,
        brightness: Any = ...,
        candidates: Any = ...,
        cat_l2: Any = ...,
        cat_smooth: Any = ...,
        checkpoint: Any = ...,
        class_weight: Any = ...,
        classes: Any = ...,
        clip: Any = ...,
        color: Any = ...,
        column_fraction: Any = ...,
        columns: Any = ...,
        contrast: Any = ...,
        decimal: Any = ...,
        degree: Any = ...,
        delta: Any = ...,
        depth: Any = ...,
        distill: Any = ...,
        drop: Any = ...,
        dropout: Any = ...,
        embedding_size: Any = ...,
        embeddings: Any = ...,
        encoding: Any = ...,
        eps: Any = ...,
        estimators: Any = ...,
        extra_trees: Any = ...,
        factor: Any = ...,
        fill: Any = ...,
        fit: Any = ...,
        floor: Any = ...,
        folder: Any = ...,
        form: Any = ...,
        format: Any = ...,
        frequency: Any = ...,
        gain: Any = ...,
        gamma: Any = ...,
        group: Any = ...,
        header: Any = ...,
        hidden: Any = ...,
        high: Any = ...,
        history: Any = ...,
        hue: Any = ...,
        id: Any = ...,
        ids: Any = ...,
        items: Any = ...,
        iterations: Any = ...,
        k: Any = ...,
        keys: Any = ...,
        kinds: Any = ...,
        l2: Any = ...,
        labels: Any = ...,
        leaf_rows: Any = ...,
        learning_rate: Any = ...,
        leaves: Any = ...,
        low: Any = ...,
        lr: Any = ...,
        max_categories: Any = ...,
        max_rows: Any = ...,
        mean: Any = ...,
        method: Any = ...,
        min_frequency: Any = ...,
        mirror: Any = ...,
        missing: Any = ...,
        mode: Any = ...,
        momentum: Any = ...,
        monotone: Any = ...,
        names: Any = ...,
        noise: Any = ...,
        nonlinearity: Any = ...,
        ns_steps: Any = ...,
        numbers: Any = ...,
        p: Any = ...,
        pad: Any = ...,
        part: Any = ...,
        path: Any = ...,
        pos_weight: Any = ...,
        preactivation: Any = ...,
        quantile: Any = ...,
        rate: Any = ...,
        ratio: Any = ...,
        rounds: Any = ...,
        row_fraction: Any = ...,
        sample_weight: Any = ...,
        saturation: Any = ...,
        seconds: Any = ...,
        separator: Any = ...,
        size: Any = ...,
        skip: Any = ...,
        smoothing: Any = ...,
        start: Any = ...,
        std: Any = ...,
        step_size: Any = ...,
        stream: Any = ...,
        strict: Any = ...,
        style: Any = ...,
        target: Any = ...,
        task: Any = ...,
        texts: Any = ...,
        thousands: Any = ...,
        time: Any = ...,
        trees: Any = ...,
        value: Any = ...,
        w: Any = ...,
        warmup: Any = ...,
        weight_decay: Any = ...,
        width: Any = ...,
        widths: Any = ...,
        workers: Any = ...,
        wd: Any = ...,
        batch_size: Any = ...,
        optimiser: Any = ...,
        dataset: Any = ...,
        max_epochs: Any = ...,
    ) -> dict[str, Any]: ...

else:

    def gather_search_settings(**keywords: Any) -> dict[str, Any]:
        """Return the keywords; an editor completes the parameters that are declared above."""
        return keywords


OWN_COMPONENTS: Final = (
    "model",
    "init",
    "init_linear",
    "init_conv",
    "loss",
    "optimizer",
    "schedule",
    "augment",
    "metrics",
)

if TYPE_CHECKING:

    def gather_components(
        *,
        model: Any = ...,
        init: Any = ...,
        init_linear: Any = ...,
        init_conv: Any = ...,
        loss: Any = ...,
        optimizer: Any = ...,
        schedule: Any = ...,
        augment: Any = ...,
        metrics: Any = ...,
    ) -> dict[str, Any]: ...

else:

    def gather_components(**keywords: Any) -> dict[str, Any]:
        """Return the keywords; an editor completes the parameters that are declared above."""
        return keywords
