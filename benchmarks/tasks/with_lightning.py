"""The ten tasks with Lightning."""

import lightning
import numpy as np
import torch
from given import Net, ShiftedDigits, all_set, test_set, train_set, x, x_test, y, y_test, y_train
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.class_weight import compute_class_weight
from torch import nn, optim
from torch.utils.data import DataLoader, Subset, random_split


# 1. Train a network of your own on arrays, and print the accuracy on rows that it was not trained on
class LightningNet(lightning.LightningModule):
    def __init__(self, lr=1e-3, weight=None):
        super().__init__()
        self.net = Net()
        self.loss = nn.CrossEntropyLoss(weight)
        self.lr = lr

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("accuracy", (self(x).argmax(1) == y).float().mean())

    def test_step(self, batch, batch_idx):
        self.validation_step(batch, batch_idx)

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=self.lr)


train_loader, test_loader = DataLoader(train_set, 32, shuffle=True), DataLoader(test_set, 256)
model = LightningNet()
trainer = lightning.Trainer(max_epochs=3)
trainer.fit(model, train_loader)
print(trainer.test(model, test_loader)[0]["accuracy"])

# 2. Train on a Dataset of your own with random augmentation
model = LightningNet()
trainer = lightning.Trainer(max_epochs=3)
trainer.fit(model, DataLoader(ShiftedDigits(), 32, shuffle=True))
print(trainer.test(model, test_loader)[0]["accuracy"])

# 3. Cross-validate on 5 folds, and print mean and standard deviation of the accuracy
scores = []
for train, valid in StratifiedKFold(5, shuffle=True).split(x, y):
    model = LightningNet()
    trainer = lightning.Trainer(max_epochs=3)
    trainer.fit(model, DataLoader(Subset(all_set, train), 32, shuffle=True))
    scores.append(trainer.test(model, DataLoader(Subset(all_set, valid), 256))[0]["accuracy"])
print(np.mean(scores), np.std(scores))

# 4. Choose the learning rate among three
train_part, valid_part = random_split(train_set, [0.8, 0.2])
accuracy = {}
for lr in (1e-4, 1e-3, 1e-2):
    model = LightningNet(lr)
    trainer = lightning.Trainer(max_epochs=3)
    trainer.fit(model, DataLoader(train_part, 32, shuffle=True))
    accuracy[lr] = trainer.test(model, DataLoader(valid_part, 256))[0]["accuracy"]
print(max(accuracy, key=accuracy.get))

# 5. Continue a training that was killed
trainer = lightning.Trainer(max_epochs=6, callbacks=[ModelCheckpoint("checkpoints", save_last=True)])
trainer.fit(LightningNet(), train_loader, ckpt_path="last")

# 6. Give every class the same total weight in the loss
weight = torch.tensor(compute_class_weight("balanced", classes=np.unique(y_train), y=y_train), dtype=torch.float32)
lightning.Trainer(max_epochs=3).fit(LightningNet(weight=weight), train_loader)

# 7. Stop when the validation score no longer improves, and keep the best weights
best = ModelCheckpoint(monitor="accuracy", mode="max")
trainer = lightning.Trainer(max_epochs=50, callbacks=[EarlyStopping("accuracy", patience=5, mode="max"), best])
trainer.fit(LightningNet(), DataLoader(train_part, 32, shuffle=True), DataLoader(valid_part, 256))

# 8. Load the trained network in another process, and predict an image file
model = LightningNet.load_from_checkpoint(best.best_model_path).eval()
image = np.asarray(Image.open("digit.png").convert("L").resize((8, 8)), dtype=np.float32)[None, None] / 255
with torch.no_grad():
    print(model(torch.from_numpy(image)).argmax(1).item())

# 9. Export to ONNX
model.to_onnx("net.onnx", torch.from_numpy(x[:1]))

# 10. Draw the confusion matrix, and report precision and recall of each class
with torch.no_grad():
    predicted = model(torch.from_numpy(x_test)).argmax(1)
ConfusionMatrixDisplay.from_predictions(y_test, predicted).figure_.savefig("confusion.png")
print(classification_report(y_test, predicted))
