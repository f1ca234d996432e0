"""Run by the tests in a process of its own: TensorFlow writes checkpoints from arrays, and reads ours back.

Usage: ``python tensorflow_writer.py DIRECTORY`` with ``arrays.npz``; makes ``one``, ``several`` and ``types``, and answers
``ours-one`` and ``ours-several`` by ``….npz``.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_eager_execution()
folder = Path(sys.argv[1])
arrays = dict(np.load(folder / "arrays.npz"))

for name, devices in (("one", 1), ("several", 3)):
    with tf.Graph().as_default():
        variables = {}
        for number, (variable, array) in enumerate(arrays.items()):
            with tf.device(f"/cpu:{number % devices}"):
                variables[variable] = v1.get_variable(variable, initializer=array, use_resource=bool(number % 2))
        saver = v1.train.Saver(sharded=devices > 1)
        with v1.Session(config=v1.ConfigProto(device_count={"CPU": devices})) as session:
            session.run(v1.global_variables_initializer())
            saver.save(session, str(folder / name))
            session.run([variable.assign(tf.zeros_like(variable)) for variable in variables.values()])
            saver.restore(session, str(folder / f"ours-{name}"))
            np.savez(folder / f"ours-{name}.npz", **session.run(variables))

with tf.Graph().as_default(), v1.Session() as session:
    values = np.linspace(-3, 3, 11, dtype=np.float32)
    types = {
        "double": tf.cast(values, tf.float64), "half": tf.cast(values, tf.float16), "brain": tf.cast(values, tf.bfloat16),
        "int": tf.range(7), "long": tf.range(2**40, 2**40 + 3, dtype=tf.int64), "flags": values > 0, "text": tf.constant(["a"]),
        "scalar": tf.constant(2.5), "empty": tf.zeros([0, 3]), "float": values,
    }  # fmt: skip
    session.run(v1.raw_ops.SaveV2(
        prefix=str(folder / "types"), tensor_names=list(types), shape_and_slices=[""] * len(types), tensors=list(types.values())
    ))  # fmt: skip
