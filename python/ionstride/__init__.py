"""IonStride: from picoseconds of first-principles data to diffusion, conductivity and Ea.

Importing the package loads NumPy and nothing heavier.
"""

__version__ = "0.1.0"
