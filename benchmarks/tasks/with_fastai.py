"""The ten tasks with fastai."""

import numpy as np
import torch
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from given import Net, ShiftedDigits, all_set, test_set, train_set, x, y, y_test, y_train
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.utils.data import Subset, random_split

# 1. Train a network of your own on arrays, and print the accuracy on rows that it was not trained on
loss = nn.CrossEntropyLoss()
dls = DataLoaders.from_dsets(train_set, test_set, bs=32)
learn = Learner(dls, Net(), loss_func=loss, metrics=accuracy)
learn.fit(3)
print(learn.validate()[1])

# 2. Train on a Dataset of your own with random augmentation
learn = Learner(DataLoaders.from_dsets(ShiftedDigits(), test_set, bs=32), Net(), loss_func=loss, metrics=accuracy)
learn.fit(3)
print(learn.validate()[1])

# 3. Cross-validate on 5 folds, and print mean and standard deviation of the accuracy
scores = []
for train, valid in StratifiedKFold(5, shuffle=True).split(x, y):
    folds = DataLoaders.from_dsets(Subset(all_set, train), Subset(all_set, valid), bs=32)
    learn = Learner(folds, Net(), loss_func=loss, metrics=accuracy)
    learn.fit(3)
    scores.append(learn.validate()[1])
print(np.mean(scores), np.std(scores))

# 4. Choose the learning rate among three
parts = DataLoaders.from_dsets(*random_split(train_set, [0.8, 0.2]), bs=32)
accuracies = {}
for lr in (1e-4, 1e-3, 1e-2):
    learn = Learner(parts, Net(), loss_func=loss, metrics=accuracy)
    learn.fit(3, lr)
    accuracies[lr] = learn.validate()[1]
print(max(accuracies, key=accuracies.get))

# 5. Continue a training that was killed
learn = Learner(dls, Net(), loss_func=loss, metrics=accuracy, cbs=SaveModelCallback(every_epoch=True, with_opt=True))
learn.fit(3)
learn.load("model_2", with_opt=True)
learn.fit(6, start_epoch=3)

# 6. Give every class the same total weight in the loss
weight = torch.tensor(compute_class_weight("balanced", classes=np.unique(y_train), y=y_train), dtype=torch.float32)
learn = Learner(dls, Net(), loss_func=nn.CrossEntropyLoss(weight), metrics=accuracy)
learn.fit(3)

# 7. Stop when the validation score no longer improves, and keep the best weights
best = [EarlyStoppingCallback("accuracy", patience=5), SaveModelCallback("accuracy", fname="best")]
learn = Learner(parts, Net(), loss_func=loss, metrics=accuracy, cbs=best)
learn.fit(50)

# 8. Load the trained network in another process, and predict an image file
learn = Learner(dls, Net(), loss_func=loss).load("best")
image = np.asarray(Image.open("digit.png").convert("L").resize((8, 8)), dtype=np.float32)[None, None] / 255
model = learn.model.eval()
with torch.no_grad():
    print(model(torch.from_numpy(image)).argmax(1).item())

# 9. Export to ONNX
torch.onnx.export(model, torch.from_numpy(x[:1]), "net.onnx")

# 10. Draw the confusion matrix, and report precision and recall of each class
predicted = learn.get_preds()[0].argmax(1)
ConfusionMatrixDisplay.from_predictions(y_test, predicted).figure_.savefig("confusion.png")
print(classification_report(y_test, predicted))
