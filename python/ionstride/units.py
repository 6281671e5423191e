"""Units: LAMMPS *metal* inside (Å, ps, eV, K, e); cm²/s and mS/cm in results only.

Constants are CODATA 2022 (exact or truncated to float64).
"""

KB_EV_K = 8.617333262e-5
"""Boltzmann constant, eV/K."""

E_CHARGE_C = 1.602176634e-19
"""Elementary charge, C."""

A2_PS_TO_CM2_S = 1.0e-4
"""1 Å²/ps in cm²/s."""

EV_A3_TO_BAR = 1.602176634e6
"""1 eV/Å³ in bar."""

FS_TO_PS = 1.0e-3


def nernst_einstein_mS_cm(
    D_cm2_s: float, n_ions: int, volume_A3: float, temperature_K: float, charge_e: float = 1.0
) -> float:
    r"""Ionic conductivity from a diffusion coefficient by Nernst-Einstein.

    .. math:: \sigma = \frac{N q^2 D}{V k_B T}

    Parameters
    ----------
    D_cm2_s : diffusion coefficient (tracer D gives the uncorrelated conductivity).
    n_ions : mobile ions in the cell.
    volume_A3 : volume of the cell, |det(cell)|.
    temperature_K : temperature.
    charge_e : charge of an ion.

    Returns
    -------
    Conductivity in mS/cm.
    """
    density_cm3 = n_ions / (volume_A3 * 1.0e-24)
    kT_J = KB_EV_K * temperature_K * E_CHARGE_C
    sigma_S_cm = density_cm3 * (charge_e * E_CHARGE_C) ** 2 * D_cm2_s / kT_J
    return 1.0e3 * sigma_S_cm
