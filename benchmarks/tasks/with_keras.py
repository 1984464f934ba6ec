"""The ten tasks with Keras; the network is written in Keras' layers, which are not counted either."""

import keras
import numpy as np
from given import ShiftedDigits, x, x_test, x_train, y, y_test, y_train
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import DataLoader


# 0. Given
def make_network():
    layers = keras.layers
    convolution = layers.Conv2D(16, 3, padding="same", activation="relu", data_format="channels_first")
    return keras.Sequential([keras.Input((1, 8, 8)), convolution, layers.Flatten(), layers.Dense(10)])


# 1. Train a network of your own on arrays, and print the accuracy on rows that it was not trained on
def compile_network(lr=1e-3):
    model = make_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(lr), loss=loss, metrics=["accuracy"])
    return model


model = compile_network()
model.fit(x_train, y_train, epochs=3)
print(model.evaluate(x_test, y_test)[1])

# 2. Train on a Dataset of your own with random augmentation
model = compile_network()
model.fit(DataLoader(ShiftedDigits(), 32, shuffle=True), epochs=3)
print(model.evaluate(x_test, y_test)[1])

# 3. Cross-validate on 5 folds, and print mean and standard deviation of the accuracy
scores = []
for train, valid in StratifiedKFold(5, shuffle=True).split(x, y):
    model = compile_network()
    model.fit(x[train], y[train], epochs=3)
    scores.append(model.evaluate(x[valid], y[valid])[1])
print(np.mean(scores), np.std(scores))

# 4. Choose the learning rate among three
accuracy = {}
for lr in (1e-4, 1e-3, 1e-2):
    history = compile_network(lr).fit(x_train, y_train, epochs=3, validation_split=0.2).history
    accuracy[lr] = history["val_accuracy"][-1]
print(max(accuracy, key=accuracy.get))

# 5. Continue a training that was killed
model = compile_network()
model.fit(x_train, y_train, epochs=6, callbacks=[keras.callbacks.BackupAndRestore("backup")])

# 6. Give every class the same total weight in the loss
weight = compute_class_weight("balanced", classes=np.unique(y_train), y=y_train)
model = compile_network()
model.fit(x_train, y_train, epochs=3, class_weight=dict(enumerate(weight)))

# 7. Stop when the validation score no longer improves, and keep the best weights
stop = keras.callbacks.EarlyStopping("val_accuracy", patience=5, restore_best_weights=True)
model = compile_network()
model.fit(x_train, y_train, epochs=50, validation_split=0.2, callbacks=[stop])

# 8. Load the trained network in another process, and predict an image file
model.save("net.keras")
model = keras.models.load_model("net.keras")
image = np.asarray(Image.open("digit.png").convert("L").resize((8, 8)), dtype=np.float32)[None, None] / 255
print(model.predict(image).argmax())

# 9. Export to ONNX
model.export("net.onnx", format="onnx")

# 10. Draw the confusion matrix, and report precision and recall of each class
predicted = model.predict(x_test).argmax(1)
ConfusionMatrixDisplay.from_predictions(y_test, predicted).figure_.savefig("confusion.png")
print(classification_report(y_test, predicted))
