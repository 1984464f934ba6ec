"""The ten tasks with skorch."""

import numpy as np
import torch
from given import Net, ShiftedDigits, test_set, x, x_test, x_train, y, y_test, y_train
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.class_weight import compute_class_weight
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint, EarlyStopping, LoadInitState
from skorch.helper import predefined_split
from torch import nn, optim

# 1. Train a network of your own on arrays, and print the accuracy on rows that it was not trained on
net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, optimizer=optim.Adam, lr=1e-3, max_epochs=3)
net.fit(x_train, y_train)
print(net.score(x_test, y_test))

# 2. Train on a Dataset of your own with random augmentation
net.set_params(train_split=predefined_split(test_set))
net.fit(ShiftedDigits(), y=None)
print(net.score(x_test, y_test))

# 3. Cross-validate on 5 folds, and print mean and standard deviation of the accuracy
net.set_params(train_split=None)
scores = cross_val_score(net, x, y, cv=5)
print(scores.mean(), scores.std())

# 4. Choose the learning rate among three
search = GridSearchCV(net, {"lr": [1e-4, 1e-3, 1e-2]}, cv=3, refit=False).fit(x_train, y_train)
print(search.best_params_)

# 5. Continue a training that was killed
checkpoint = Checkpoint(monitor=None, dirname="skorch")
net.set_params(callbacks=[checkpoint, LoadInitState(checkpoint)])
net.fit(x_train, y_train)

# 6. Give every class the same total weight in the loss
weight = torch.tensor(compute_class_weight("balanced", classes=np.unique(y_train), y=y_train), dtype=torch.float32)
net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss(weight=weight), optimizer=optim.Adam, lr=1e-3)
net.fit(x_train, y_train)

# 7. Stop when the validation score no longer improves, and keep the best weights
stop = EarlyStopping(monitor="valid_acc", lower_is_better=False, patience=5, load_best=True)
net = NeuralNetClassifier(
    Net, criterion=nn.CrossEntropyLoss, optimizer=optim.Adam, lr=1e-3, max_epochs=50, callbacks=[stop]
)
net.fit(x_train, y_train)

# 8. Load the trained network in another process, and predict an image file
net.save_params(f_params="net.safetensors", use_safetensors=True)
net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss).initialize()
net.load_params(f_params="net.safetensors", use_safetensors=True)
image = np.asarray(Image.open("digit.png").convert("L").resize((8, 8)), dtype=np.float32)[None, None] / 255
print(net.predict(image)[0])

# 9. Export to ONNX
torch.onnx.export(net.module_.eval(), torch.from_numpy(x[:1]), "net.onnx")

# 10. Draw the confusion matrix, and report precision and recall of each class
predicted = net.predict(x_test)
ConfusionMatrixDisplay.from_predictions(y_test, predicted).figure_.savefig("confusion.png")
print(classification_report(y_test, predicted))
