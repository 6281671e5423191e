"""Short MD of a model crystal, written as the outputs of DFT codes would be."""

import numpy as np

HARTREE_EV, BOHR_A, KBAR = 27.211386245988, 0.529177210903, 1602.1766208
RYDBERG_EV = HARTREE_EV / 2
SYMBOLS = ["Li"] * 16 + ["S"] * 16
STEP_FS = 2.0


def run(frames=12, seed=0, strain=1.0, kelvin=500.0, every=1, kinetic=None):
    """Frames of an NVE run of Lennard-Jones atoms named Li and S: positions, cells, energies, forces, virials."""
    from ase import units
    from ase.build import bulk
    from ase.calculators.lj import LennardJones
    from ase.md.verlet import VelocityVerlet

    atoms = bulk("Ar", "fcc", a=3.4 * strain, cubic=True) * (2, 2, 2)
    atoms.set_chemical_symbols(SYMBOLS)
    atoms.calc = LennardJones(sigma=2.2, epsilon=0.1, rc=5.0, smooth=True)
    heat(atoms, 2 * kelvin, seed)
    rows = []
    with VelocityVerlet(atoms, STEP_FS * units.fs) as moving:
        moving.run(5)  # off the lattice, which all runs start from
        for _ in range(frames):
            if kinetic is not None:
                kinetic.append(atoms.get_temperature() * 32 / 31)  # the whole is at rest
            virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
            rows.append(
                (
                    atoms.positions.copy(),
                    atoms.cell.array.copy(),
                    atoms.get_potential_energy(),
                    atoms.get_forces(),
                    virial,
                )
            )
            moving.run(every)
    return [np.array(column) for column in zip(*rows, strict=True)]


def heat(atoms, kelvin, seed):
    """Give atoms the momenta of a temperature, the whole at rest."""
    from ase import units

    mass = atoms.get_masses()[:, None]
    momenta = np.random.default_rng(seed).normal(0, np.sqrt(mass * units.kB * kelvin), (len(atoms), 3))
    atoms.set_momenta(momenta - momenta.mean(axis=0))


def images(data, symbols=SYMBOLS):
    """The frames as ASE's atoms with their labels."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    made = []
    for x, c, e, f, w in zip(*data, strict=True):
        atoms = Atoms(symbols, positions=x, cell=c, pbc=True)
        stress = (-w / atoms.get_volume()).ravel()[[0, 4, 8, 5, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, energy=e, forces=f, stress=stress)
        made.append(atoms)
    return made


def rows(table, form="{:.10f}"):
    return [" ".join(form.format(v) for v in line) for line in np.atleast_2d(table)]


def kbar(cell, virial):
    return virial / abs(np.linalg.det(cell)) * KBAR


def vasprun(file, data, *, unconverged=(), nelm=60, end=True, extra=""):
    out = ["<?xml version='1.0' encoding='ISO-8859-1'?>", "<modeling>", ' <incar><i name="POTIM">  2.0</i></incar>']
    out += [
        " <parameters>",
        f'  <i type="int" name="NELM">{nelm:6d}</i>',
        '  <i type="int" name="IBRION">     0</i>',
        '  <i type="string" name="GGA">PE</i>',
        '  <i name="ENMAX">    520.00000000</i>',
        '  <i name="TEBEG">    500.0</i>',
        '  <i name="TEEND">    500.0</i>',
        extra,
        " </parameters>",
        " <atominfo>",
        '  <array name="atoms" >',
        "   <set>",
        *(f"    <rc><c>{s:2s}</c><c>{1 + (s == 'S'):4d}</c></rc>" for s in SYMBOLS),
        "   </set>",
        "  </array>",
        " </atominfo>",
    ]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        steps = nelm if number in unconverged else 8
        out += [" <calculation>", *["  <scstep>", "  </scstep>"] * steps, "  <structure>", "   <crystal>"]
        out += [
            '    <varray name="basis" >',
            *(f"     <v> {r} </v>" for r in rows(c)),
            "    </varray>",
            "   </crystal>",
        ]
        out += ['   <varray name="positions" >', *(f"    <v> {r} </v>" for r in rows(x @ np.linalg.inv(c) % 1.0))]
        out += ["   </varray>", "  </structure>", '  <varray name="forces" >', *(f"   <v> {r} </v>" for r in rows(f))]
        out += [
            "  </varray>",
            '  <varray name="stress" >',
            *(f"   <v> {r} </v>" for r in rows(kbar(c, w))),
            "  </varray>",
        ]
        out += [
            "  <energy>",
            f'   <i name="e_fr_energy"> {e:.8f} </i>',
            '   <i name="e_0_energy"> 1.0 </i>',
            "  </energy>",
        ]
        out += [" </calculation>"]
    file.write_text("\n".join([*out, "</modeling>" if end else "", ""]))


def outcar(file, data, *, unconverged=(), nelm=60, functional="PE", old=False):
    """Write an OUTCAR; of an `old` VASP it says that EDIFF is reached whenever the loop ends."""
    out = [" vasp.6.3.0 20Jan22 complex", " executed on             LinuxGNU", ""]
    for name in ("Li_sv 10Sep2004", "S 06Sep2000"):
        out += [f"   TITEL  = PAW_PBE {name}"]
    out += ["   ions per type =              16  16", f"   NELM   = {nelm:6d};   NELMIN=  2; NELMDL= -5"]
    out += ["   EDIFF  = 0.1E-05   stopping-criterion for ELM"]
    out += [
        "   ENCUT  =  520.0 eV  38.22 Ry",
        f"   GGA     =    {functional}    GGA type",
        "   IBRION =      0    ionic relax",
    ]
    out += ["   POTIM  = 2.0000    time-step for ionic-motion", "   TEBEG  =  500.0;   TEEND  = 500.0 temperature", ""]
    out += ["   NWRITE =      2    write-flag & timer"]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        bad = number in unconverged
        for k in range(1, (nelm if bad else 5) + 1):
            out += [f"{'-' * 30} Iteration {number + 1:6d}({k:4d})  {'-' * 30}"]
            out += [f" total energy-change (2. order) :{0.1**k if k < 5 or bad else 2e-7:14.7E}  (-0.1E-08)"]
        out += [
            "------------------------ aborting loop "
            + ("EDIFF was not reached (unconverged)" if bad and not old else "because EDIFF is reached")
        ]
        xx, yy, zz, xy, yz, zx = kbar(c, w).ravel()[[0, 4, 8, 1, 5, 2]]
        out += ["  FORCE on cell =-STRESS in cart. coord.  units (eV):", "  Direction    XX          YY", *["  x"] * 12]
        out += [f"  in kB  {xx:12.5f}{yy:12.5f}{zz:12.5f}{xy:12.5f}{yz:12.5f}{zx:12.5f}", ""]
        out += [" VOLUME and BASIS-vectors are now :", *["  x"] * 3, "      direct lattice vectors    reciprocal"]
        out += ["".join(f"{v:13.9f}" for v in (*r, 0.1, 0.1, 0.1)) for r in c]
        out += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 80]
        out += [
            "".join(f"{v:13.5f}" for v in a) + "   " + "".join(f"{v:14.6f}" for v in b)
            for a, b in zip(x, f, strict=True)
        ]
        out += [
            " " + "-" * 80,
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
            f"  free  energy   TOTEN  = {e:18.8f} eV",
            "",
        ]
    file.write_text("\n".join(out) + "\n")


def ml_ab(file, data):
    rule, thin, thick = "*" * 50, "-" * 50, "=" * 50
    out = [" 1.0 Version", rule, "     The number of configurations", thin, f"     {len(data[2])}"]
    out += [
        rule,
        "     The maximum number of atom type",
        thin,
        "       2",
        rule,
        "     The atom types in the data file",
        thin,
        "     Li S",
    ]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        xx, yy, zz, xy, yz, zx = kbar(c, w).ravel()[[0, 4, 8, 1, 5, 2]]
        out += [rule, f"     Configuration num. {number + 1:6d}", thick, "     System name", thin, "     model"]
        out += [
            thick,
            "     The number of atom types",
            thin,
            "       2",
            thick,
            "     The number of atoms",
            thin,
            "         32",
        ]
        out += [
            rule,
            "     Atom types and atom numbers",
            thin,
            "     Li     16",
            "     S     16",
            thick,
            "     CTIFOR",
            thin,
            "   2.0E-2",
        ]
        out += [
            thick,
            "     Primitive lattice vectors (ang.)",
            thin,
            *rows(c),
            thick,
            "     Atomic positions (ang.)",
            thin,
            *rows(x),
        ]
        out += [thick, "     Total energy (eV)", thin, f"  {e:.10f}", thick, "     Forces (eV ang.^-1)", thin, *rows(f)]
        out += [thick, "     Stress (kbar)", thin, "     XX YY ZZ", thin, f" {xx:.10f} {yy:.10f} {zz:.10f}"]
        out += [thin, "     XY YZ ZX", thin, f" {xy:.10f} {yz:.10f} {zx:.10f}"]
    file.write_text("\n".join([*out, rule]) + "\n")


def siesta(file, data, *, unconverged=(), pressure_sign=1.0, entropy_eV=0.0):
    """The stress is positive under tension, the pressure beside it under compression, as SIESTA prints them."""
    out = ["Siesta Version: siesta-4.1.5", "redata: Number of Atomic Species         =        2"]
    out += ["initatom: Reading input for the pseudopotentials and atomic orbitals ----------"]
    out += ["Species number:            1  Label: Li Atomic number:           3"]
    out += ["Species number:            2  Label: S Atomic number:          16"]
    out += ["siesta: ******************** Simulation parameters ****", "xc_check: Exchange-correlation functional:"]
    out += ["xc_check: GGA Perdew, Burke & Ernzerhof 1996", "redata: Mesh Cutoff                      =   200.0000 Ry"]
    out += [
        "redata: Max. number of SCF Iter          =       30",
        "redata: Length of MD time step           =    2.0000 fs",
    ]
    out += [f"initatomlists: Number of atoms, orbitals, and projectors:     {len(SYMBOLS)}   416   512"]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        stress = -w / abs(np.linalg.det(c))
        out += [
            f"                            Begin MD step = {number + 1:6d}",
            "",
            "outcoor: Atomic coordinates (Ang):",
        ]
        out += [
            f"{r}   {1 + (s == 'S')}  {i:6d}  {s}"
            for i, (r, s) in enumerate(zip(rows(x, "{:.8f}"), SYMBOLS, strict=True), 1)
        ]
        out += ["", "outcell: Unit cell vectors (Ang):", *rows(c, "{:.8f}"), ""]
        out += ["   scf: iscf   Eharris(eV)      E_KS(eV)   FreeEng(eV)    dDmax  Ef(eV)"]
        out += [
            f"   scf: {k:4d}   {e:.6f} {e + entropy_eV:.6f} {e:.6f} 0.00010 -3.7410"
            for k in range(1, (30 if number in unconverged else 6) + 1)
        ]
        out += [] if number in unconverged else ["SCF cycle converged after 6 iterations"]
        out += ["", f"siesta: E_KS(eV) = {e + entropy_eV:20.4f}", "", "siesta: Atomic forces (eV/Ang):"]
        out += [f"{i:6d} {r}" for i, r in enumerate(rows(f, "{:.6f}"), 1)]
        out += ["----------------------------------------", "   Tot    0.000000    0.000000    0.000000", ""]
        out += ["siesta: Stress tensor (static) (eV/Ang**3):", *(f"     {r}" for r in rows(stress, "{:.6f}")), ""]
        pressure = pressure_sign * -np.trace(stress) / 3 * KBAR
        out += [f"siesta: Pressure (static): {pressure:20.8f}  kBar", "", "siesta: Temp_ion =     500.000 K"]
    file.write_text("\n".join(out) + "\n")


def cp2k(folder, data, *, unconverged=(), energy_factor=1.0, force_factor=1.0, length_factor=1.0):
    """The files of a run called lis: -pos-1.xyz, -frc-1.xyz, -1.cell and the output."""
    folder.mkdir(parents=True, exist_ok=True)
    pos, frc, cell = [], [], ["#   Step   Time [fs]  Ax Ay Az Bx By Bz Cx Cy Cz  Volume"]
    out = [" CP2K| version string:                 CP2K version 2023.1", " FUNCTIONAL| PBE:"]
    out += [
        " QS| Density cutoff [a.u.]:                             150.0",
        " MD_PAR| Temperature [K]            500.000000",
    ]
    out += [" MD_PAR| Coordinates          1                                    lis-pos-1.xyz", " " * 1200]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        head = f" i = {number:8d}, time = {number * STEP_FS:12.3f}, E = {energy_factor * e / HARTREE_EV:20.10f}"
        pos += [f"{len(x):8d}", head, *(f" {s} {r}" for s, r in zip(SYMBOLS, rows(length_factor * x), strict=True))]
        force = force_factor * f / HARTREE_EV * BOHR_A
        frc += [f"{len(x):8d}", head, *(f" {s} {r}" for s, r in zip(SYMBOLS, rows(force), strict=True))]
        volume = abs(np.linalg.det(c))
        cell += [f" {number} {number * STEP_FS} " + " ".join(rows((length_factor * c).reshape(1, 9))) + f" {volume}"]
        bad = number in unconverged
        out += [
            "  *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***"
            if bad
            else "  *** SCF run converged in    14 steps ***"
        ]
        out += [" STRESS| Analytical stress tensor [GPa]", " STRESS|                        x    y    z"]
        out += [f" STRESS|      {a} {r}" for a, r in zip("xyz", rows(kbar(c, w) / 10), strict=True)]
        out += [" STRESS| Eigenvectors and eigenvalues of the analytical stress tensor [GPa]", " STRESS|   1  2  3"]
        out += [f" STRESS|      {a} {r}" for a, r in zip("xyz", rows(np.eye(3)), strict=True)]
        out += [" MD_INI| MD initialization" if number == 0 else f" MD| Step number               {number}"]
    for name, lines in (("lis-pos-1.xyz", pos), ("lis-frc-1.xyz", frc), ("lis-1.cell", cell), ("lis.out", out)):
        (folder / name).write_text("\n".join(lines) + "\n")


def cp2k_point(file, data, kinds=SYMBOLS, steps=1):
    """The output of a single point of the first frame, or of a relaxation; each atom's kind may have any name."""
    x, c, e, f, _ = (one[0] for one in data)
    names = list(dict.fromkeys(kinds))
    out = [" DBCSR| CPU Multiplication driver            BLAS", " CP2K| version string:   CP2K version 2023.1"]
    out += [" FUNCTIONAL| PBE:", *(f" CELL| Vector {a} [angstrom]: {r}" for a, r in zip("abc", rows(c), strict=True))]
    out += [f"  {k}. Atomic kind: {name}    Number of atoms:  16" for k, name in enumerate(names, 1)]
    out += [
        " MODULE QUICKSTEP:  ATOMIC COORDINATES IN angstrom",
        "",
        "  Atom  Kind  Element  X  Y  Z  Z(eff)  Mass",
        "",
    ]
    for k, (s, kind, r) in enumerate(zip(SYMBOLS, kinds, rows(x), strict=True), 1):
        out += [f"  {k:6d} {names.index(kind) + 1:5d} {s:2s}  {3 if s == 'Li' else 16} {r} 3.00 6.9390"]
    out += ["", " SCF PARAMETERS", "  *** SCF run converged in    14 steps ***", ""]
    for _ in range(steps):
        out += [f" ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:  {e / HARTREE_EV:.12f}", ""]
    out += [" ATOMIC FORCES in [a.u.]", "", " # Atom   Kind   Element          X              Y              Z"]
    for k, (s, r) in enumerate(zip(SYMBOLS, rows(f / HARTREE_EV * BOHR_A), strict=True), 1):
        out += [f"  {k:6d} {names.index(kinds[k - 1]) + 1:5d}  {s:2s} {r}"]
    file.write_text("\n".join([*out, " SUM OF ATOMIC FORCES   0.0 0.0 0.0 0.0", ""]))


def cp(folder, data, step):
    """The files of a cp.x run called lis, frames at the given steps."""
    folder.mkdir(parents=True, exist_ok=True)
    table, positions, forces, cells = [], [], [], []
    for k, x, c, e, f in zip(step, *data[:4], strict=True):
        ps = k * STEP_FS / 1000
        table += [f"{k} {ps:.6E} 0.0 0.0 500.0 {e / HARTREE_EV:.10f} 0.0 0.0 0.0 0.0 0.0"]
        positions += [f"{k} {ps:.8f}", *rows(x / BOHR_A)]
        forces += [f"{k} {ps:.8f}", *rows(f / HARTREE_EV * BOHR_A)]
        cells += [f"{k} {ps:.8f}", *rows(c.T / BOHR_A)]
    given = [
        "&system", " ibrav = 0", " nat = 32", " ntyp = 2", "/", "ATOMIC_SPECIES", "Li 6.94 Li.upf", "S 32.06 S.upf"
    ]  # fmt: skip
    given += ["ATOMIC_POSITIONS {bohr}", *(f"{s} 0.0 0.0 0.0" for s in SYMBOLS), "CELL_PARAMETERS {bohr}"]
    given += rows(data[1][0] / BOHR_A)
    for name, lines in (("evp", table), ("pos", positions), ("for", forces), ("cel", cells), ("in", given)):
        (folder / f"lis.{name}").write_text("\n".join(lines) + "\n")


def pw(file, data, *, unconverged=()):
    a = data[1][0, 0, 0] / BOHR_A
    out = [
        "     Program PWSCF v.6.7MaX starts on 21Nov2026 at  8:44:47",
        "     bravais-lattice index     =            0",
    ]
    out += [f"     lattice parameter (alat)  = {a:14.8f}  a.u.", "     unit-cell volume          =  1.0 (a.u.)^3"]
    out += [f"     number of atoms/cell      = {len(SYMBOLS):12d}", "     number of atomic types    =            2"]
    out += ["     kinetic-energy cutoff     =      40.0000  Ry", "     Exchange-correlation= PBE", ""]
    out += [f"     celldm(1)= {a:.10f}  celldm(2)=   0.000000  celldm(3)=   0.000000", ""]
    out += ["     crystal axes: (cart. coord. in units of alat)"]
    unit = data[1][0] / data[1][0, 0, 0]
    out += [f"               a({k}) = ( {r} )  " for k, r in enumerate(rows(unit, "{:.10f}"), 1)]
    out += ["", "   Cartesian axes", "", "     site n.     atom                  positions (alat units)"]
    for k, (s, r) in enumerate(zip(SYMBOLS, rows(data[0][0] / data[1][0, 0, 0]), strict=True), 1):
        out += [f"       {k:3d}           {s:2s}  tau({k:4d}) = ( {r}  )"]
    out += ["", "     number of k points=     1", "                       cart. coord. in units 2pi/alat"]
    out += ["        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000", ""]
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        if number:
            out += ["     Entering Dynamics:    iteration = ", "", "ATOMIC_POSITIONS (angstrom)"]
            out += [f"{s}  {r}" for s, r in zip(SYMBOLS, rows(x), strict=True)]
            out += ["", "     temperature           =         500.00000000 K "]
        if number in unconverged:
            out += ["     convergence NOT achieved after 100 iterations: stopping", ""]
            continue
        out += [
            f"!    total energy              = {e / RYDBERG_EV:20.10f} Ry",
            "",
            "     Forces acting on atoms (cartesian axes, Ry/au):",
            "",
        ]
        force = f / RYDBERG_EV * BOHR_A
        out += [
            f"     atom {k:4d} type  {1 + (s == 'S')}   force = {r}"
            for k, (s, r) in enumerate(zip(SYMBOLS, rows(force), strict=True), 1)
        ]
        stress = w / abs(np.linalg.det(c))
        out += [
            "",
            f"          total   stress  (Ry/bohr**3)              (kbar)     P= {np.trace(stress) / 3 * KBAR:10.2f}",
        ]
        out += [
            f"  {a}  {b}"
            for a, b in zip(rows(stress / RYDBERG_EV * BOHR_A**3, "{:.12f}"), rows(stress * KBAR), strict=True)
        ]
        out += ["", "     Time step             =    41.34 a.u.,  2.0000 femto-seconds", ""]
    file.write_text("\n".join(out) + "\n")


def abacus(folder, data, *, unconverged=()):
    (folder / "OUT.lis").mkdir(parents=True)
    (folder / "INPUT").write_text(
        "INPUT_PARAMETERS\nsuffix lis\ncalculation md\nstru_file STRU\nmd_dumpfreq 1\nmd_dt 2.0\nmd_tfirst 500\n"
        "ecutwfc 60\nbasis_type lcao\ndft_functional pbe\n"
    )
    c = data[1][0]
    out = [
        "ATOMIC_SPECIES",
        "Li 6.94 Li.upf",
        "S 32.06 S.upf",
        "",
        "LATTICE_CONSTANT",
        "1.889726125",
        "",
        "LATTICE_VECTORS",
    ]
    out += [*rows(c), "", "ATOMIC_POSITIONS", "Cartesian"]
    for name, some in (("Li", slice(0, 16)), ("S", slice(16, 32))):
        out += [name, "0.0", "16", *(f"{r} 1 1 1" for r in rows(data[0][0][some]))]
    (folder / "STRU").write_text("\n".join(out) + "\n")
    dump, log = [], []
    for number, (x, c, e, f, w) in enumerate(zip(*data, strict=True)):
        dump += [f"MDSTEP:  {number}", "LATTICE_CONSTANT: 1.000000000000 Angstrom", "LATTICE_VECTORS", *rows(c)]
        dump += ["VIRIAL (kbar)", *rows(kbar(c, w)), "INDEX    LABEL    POSITION (Angstrom)    FORCE (eV/Angstrom)"]
        dump += [f"  {k}  {s}  {a}  {b}" for k, (s, a, b) in enumerate(zip(SYMBOLS, rows(x), rows(f), strict=True))]
        dump += ["", ""]
        log += [
            "!! convergence has not been achieved @_@"
            if number in unconverged
            else f" !FINAL_ETOT_IS\n final etot is {e:.12f} eV"
        ]
    (folder / "OUT.lis" / "MD_dump").write_text("\n".join(dump))
    (folder / "OUT.lis" / "running_md.log").write_text("\n".join(log) + "\n")
