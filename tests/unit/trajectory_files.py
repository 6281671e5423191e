"""Small trajectories written in every format that is read, each as its program writes it."""

import gzip
import warnings

import numpy as np

CELL = np.array([[10.0, 0, 0], [2.0, 9.0, 0], [0.5, 1.0, 8.0]])
SYMBOLS = ["Li", "Li", "P", "S"]
STEP_FS = 2.0


def paths(frames=40, seed=1, step=0.3, cell=CELL):
    """Two walking ions and two vibrating atoms, (frames, 4, 3)."""
    rng = np.random.default_rng(seed)
    r = rng.random((1, 4, 3)) @ cell + np.cumsum(rng.normal(0, step, (frames, 4, 3)), axis=0)
    r[:, 2:] = r[:1, 2:] + rng.normal(0, 0.1, (frames, 2, 3))
    return r


def cells_of(r, cells):
    return np.broadcast_to(CELL, (len(r), 3, 3)) if cells is None else cells


def wrapped(r, cells=None):
    cells = cells_of(r, cells)
    return ((r @ np.linalg.inv(cells)) % 1.0) @ cells


def row(numbers, form="{:.8f}"):
    return " ".join(form.format(float(x)) for x in numbers)


def dump(file, r, *, cells=None, steps=None, kind="wrapped", element=True, time=None, origin=(0.0, 0.0, 0.0)):
    """Write a LAMMPS dump; `kind` is 'wrapped' (x y z), 'image' (with ix iy iz) or 'xu'."""
    lines = []
    steps = range(0, 10 * len(r), 10) if steps is None else steps
    for t, (frame, cell, step) in enumerate(zip(r, cells_of(r, cells), steps, strict=True)):
        xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
        low = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
        if time is not None:
            lines += ["ITEM: TIME", repr(float(time[t]))]
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(frame))]
        tilted = bool(xy or xz or yz)
        lines += ["ITEM: BOX BOUNDS " + ("xy xz yz " if tilted else "") + "pp pp pp"]
        for lo, hi, tilt, o in zip(
            (low[0], min(0.0, yz), 0.0),
            (cell[0, 0] + low[1], cell[1, 1] + max(0.0, yz), cell[2, 2]),
            (xy, xz, yz), origin, strict=True,
        ):  # fmt: skip
            lines += [f"{lo + o:.12f} {hi + o:.12f}" + (f" {tilt:.12f}" if tilted else "")]
        names = {"wrapped": "x y z", "image": "x y z ix iy iz", "xu": "xu yu zu"}[kind]
        lines += [f"ITEM: ATOMS id type {'element ' if element else ''}{names}"]
        fractional = frame @ np.linalg.inv(cell)
        image = np.floor(fractional).astype(int)
        inside = (fractional - image) @ cell
        for i in (2, 0, 3, 1) if len(frame) == 4 else range(len(frame)):
            at = (frame[i] if kind == "xu" else inside[i]) + origin
            symbol = SYMBOLS[i % 4]
            words = [i + 1, 1 + sorted(set(SYMBOLS)).index(symbol), *([symbol] if element else [])]
            words += [repr(float(x)) for x in at] + ([*image[i]] if kind == "image" else [])
            lines.append(" ".join(map(str, words)))
    file.write_text("\n".join(lines) + "\n")
    return file


def xdatcar(file, r, *, cells=None, every_header=False, tail=""):
    lines = []
    for t, (frame, cell) in enumerate(zip(r, cells_of(r, cells), strict=True)):
        if t == 0 or every_header:
            lines += ["some crystal", "1.0", *(row(v, "{!r}") for v in cell), "Li P S", "2 1 1"]
        lines.append(f"Direct configuration= {t + 1:5d}")
        lines += [row(s, "{:.10f}") for s in (frame @ np.linalg.inv(cell)) % 1.0]
    return text(file, "\n".join(lines) + "\n" + tail)


def text(file, said):
    file.write_bytes(gzip.compress(said.encode()) if file.suffix == ".gz" else said.encode())
    return file


def _structure(frame, cell):
    out = ["   <crystal>", '    <varray name="basis" >', *(f"     <v> {row(v)} </v>" for v in cell), "    </varray>"]
    out += [
        f'    <i name="volume"> {abs(np.linalg.det(cell)):.8f} </i>',
        "   </crystal>",
        '   <varray name="positions" >',
    ]
    return [*out, *(f"    <v> {row(s)} </v>" for s in (frame @ np.linalg.inv(cell)) % 1.0), "   </varray>"]


def vasprun(file, r, *, cells=None, extra="", version="5.4.4", end=True, nblock=1):
    out = ['<?xml version="1.0" encoding="ISO-8859-1"?>', "<modeling>", " <generator>"]
    out += ['  <i name="program" type="string">vasp </i>', f'  <i name="version" type="string">{version} </i>']
    out += [" </generator>", ' <kpoints><varray name="kpointlist" ><v> 0.0 0.0 0.0 </v></varray>']
    out += [
        '  <varray name="weights" ><v> 1.0 </v></varray></kpoints>',
        " <incar>",
        '  <i type="int" name="IBRION">     0</i>',
    ]
    out += [f'  <i name="POTIM">      {STEP_FS:.8f}</i>', extra, " </incar>", " <parameters>"]
    out += [f'  <separator name="ionic md" ><i type="int" name="NBLOCK">{nblock:6d}</i></separator>', " </parameters>"]
    out += [
        " <atominfo>",
        "  <atoms>       4 </atoms>",
        '  <array name="atoms" >',
        '   <dimension dim="1">ion</dimension>',
    ]
    out += ['   <field type="string">element</field>', '   <field type="int">atomtype</field>', "   <set>"]
    out += [f"    <rc><c>{s:2s}</c><c>{sorted(set(SYMBOLS)).index(s) + 1:4d}</c></rc>" for s in SYMBOLS]
    out += ["   </set>", "  </array>", " </atominfo>"]
    out += [' <structure name="initialpos" >', *_structure(r[0], cells_of(r, cells)[0]), " </structure>"]
    for frame, cell in zip(r, cells_of(r, cells), strict=True):
        out += [
            " <calculation>",
            '  <scstep><energy><i name="e_fr_energy"> -1.0 </i><i name="e_0_energy"> -1.0 </i></energy></scstep>',
            "  <structure>",
        ]
        out += [
            *_structure(frame, cell),
            "  </structure>",
            '  <varray name="forces" >',
            *["   <v> 0.0 0.0 0.0 </v>"] * 4,
        ]
        out += [
            "  </varray>",
            '  <varray name="stress" >',
            *["   <v> 0.0 0.0 0.0 </v>"] * 3,
            "  </varray>",
            "  <energy>",
        ]
        out += ['   <i name="e_fr_energy">  -1.0 </i>', '   <i name="e_wo_entrp">  -1.0 </i>']
        out += ['   <i name="e_0_energy">  -1.0 </i>', "  </energy>", " </calculation>"]
    return text(file, "\n".join([*out, "</modeling>" if end else ""]))


def outcar(file, r, *, cells=None, every=1, steps=None):
    out = [" vasp.5.4.4.18Apr17-6-g9f103f2a35 (build Sep 18 2018 16:57:57) complex", "", " executed on  LinuxIFC", ""]
    for title in ("Li_sv 10Sep2004", "P 06Sep2000", "S 06Sep2000"):
        out += [f" POTCAR:    PAW_PBE {title}"]
    for title in ("Li_sv 10Sep2004", "P 06Sep2000", "S 06Sep2000"):
        out += [
            f" POTCAR:    PAW_PBE {title}",
            f"   VRHFIN ={title[:2].strip('_ ')}: s1p0",
            f"   TITEL  = PAW_PBE {title}",
        ]
    out += ["   ions per type =               2   1   1", "   NSW    =     99    number of steps for IOM"]
    out += ["   NBLOCK =      1;   KBLOCK =     10    inner block; outer block "]
    out += ["   IBRION =      0    ionic relax: 0-MD 1-quasi-New 2-CG"]
    out += [f"   POTIM  = {STEP_FS:.4f}    time-step for ionic-motion"]
    for t, (frame, cell) in enumerate(zip(r, cells_of(r, cells), strict=True)):
        for iteration in (1, 2):
            step = 1 + t * every if steps is None else steps[t]
            out += [f"{'-' * 39} Iteration {step:6d}({iteration:4d})  {'-' * 39}"]
        out += [
            "  volume of cell :      720.00",
            "      direct lattice vectors                 reciprocal lattice vectors",
        ]
        out += ["".join(f"{x:13.9f}" for x in (*v, 0.1, -0.1, 0.0)) for v in cell]
        out += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 83]
        out += ["".join(f"{x:13.5f}" for x in x3) + "  " + row((0, 0, 0)) for x3 in frame]
        out += [" " + "-" * 83, "    total drift:                                0.0 0.0 0.0", ""]
        out += [
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
            "  ---------------------------------------------------",
        ]
        out += ["  free  energy   TOTEN  =        -1.00000000 eV", ""]
        out += ["  energy  without entropy=       -1.00000000  energy(sigma->0) =       -1.00000000", ""]
    return text(file, "\n".join(out) + "\n")


def siesta(file, r, *, cells=None, unit="Ang", first=1):
    out = ["Siesta Version:                                        siesta-3.2-pl-5", "* WELCOME TO SIESTA  *"]
    out += [f"MD.LengthTimeStep      {STEP_FS} fs", "initatom: Reading input"]
    out += [
        f" Species number:  {k}  Label: {s} Atomic number:  {z}"
        for k, s, z in ((1, "Li", 3), (2, "P_a", 15), (3, "S", 16))
    ]
    out += [f"redata: Length of MD time step           =     {STEP_FS:.4f}  fs"]
    for t, (frame, cell) in enumerate(zip(r, cells_of(r, cells), strict=True)):
        out += ["siesta:  ====", f"                            Begin MD step = {t + first:6d}", "        ====", ""]
        out += [f"outcoor: Atomic coordinates ({unit}):  "]
        place = {"Ang": frame, "Bohr": frame / 0.529177210903, "fractional": frame @ np.linalg.inv(cell)}[unit]
        for i, (k, label) in enumerate(((1, "Li"), (1, "Li"), (2, "P_a"), (3, "S"))):
            out += [row(place[i], "{:14.8f}") + f"   {k}       {i + 1}  {label}"]
        out += ["k-point displ. along   1 input, could be:     0.00    0.50"] if t % 2 else []
        out += ["", "superc: Internal auxiliary supercell:     2 x     2 x     2  =       8", ""]
        out += ["outcell: Unit cell vectors (Ang):", *(row(v, "{:14.6f}") for v in cell), ""]
        out += ["outcell: Cell volume (Ang**3)        :   720.0", "siesta: E_KS(eV) =  -1.0", ""]
    return text(file, "\n".join(out) + "\n")


def cp2k(file, r, *, cells=None, steps=None, cell_file=True):
    """Write NAME-pos-1.xyz and NAME-1.cell beside it."""
    steps = range(len(r)) if steps is None else steps
    out, table = [], ["#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]   ...  Volume [Angstrom^3]"]
    for frame, cell, step in zip(r, cells_of(r, cells), steps, strict=True):
        out += [f"{4:8d}", f" i = {step:8d}, time = {step * STEP_FS:12.3f}, E = {-17.25:20.10f}"]
        out += [f" {s:2s} " + row(x, "{:19.10f}") for s, x in zip(SYMBOLS, frame, strict=True)]
        table += [f"{step:8d} {step * STEP_FS:12.3f} " + row(cell.ravel(), "{:19.10f}") + f" {720.0:19.10f}"]
    if cell_file:
        name = file.name.removesuffix(".gz").replace("-pos-", "-").replace(".xyz", ".cell")
        text(file.with_name(name), "\n".join(table) + "\n")
    return text(file, "\n".join(out) + "\n")


def extxyz(file, r, *, cells=None, time=True, unwrapped=False):
    out = []
    for t, (frame, cell) in enumerate(zip(r, cells_of(r, cells), strict=True)):
        inside = wrapped(frame[None], cell[None])[0]
        columns = "species:S:1:pos:R:3" + (":unwrapped_position:R:3" if unwrapped else "") + ":forces:R:3"
        said = f"Time={t * STEP_FS:.8f} " if time else ""
        out += ["4", f'{said}pbc="T T T" Lattice="{row(cell.ravel())}" Properties={columns} energy=-1.0']
        for s, x, u in zip(SYMBOLS, inside, frame, strict=True):
            out += [f"{s} {row(x)} " + (row(u) + " " if unwrapped else "") + "0.0 0.0 0.0"]
    return text(file, "\n".join(out) + "\n")


def traj(file, r, *, cells=None):
    import ase
    import ase.io

    frames = [
        ase.Atoms(SYMBOLS, positions=x, cell=c, pbc=True)
        for x, c in zip(wrapped(r, cells), cells_of(r, cells), strict=True)
    ]
    ase.io.write(file, frames)
    return file


def npz(file, r, *, cells=None, **more):
    arrays = {
        "positions_A": r,
        "symbols": np.array(SYMBOLS),
        "cell_A": CELL if cells is None else cells,
        "dt_ps": 0.002,
    }
    np.savez(file, **{k: v for k, v in {**arrays, **more}.items() if v is not None})
    return file


def ions_npz(file, r, **more):
    np.savez(file, r_A=r.transpose(1, 0, 2).astype(np.float32), dt_ps=0.002, cell_A=CELL, **more)
    return file


def deepmd(folder, r, *, cells=None, sets=2):
    folder.mkdir(parents=True)
    (folder / "type.raw").write_text("0\n0\n1\n2\n")
    (folder / "type_map.raw").write_text("Li\nP\nS\n")
    for k, (x, c) in enumerate(
        zip(np.array_split(wrapped(r, cells), sets), np.array_split(cells_of(r, cells), sets), strict=True)
    ):
        (folder / f"set.{k:03d}").mkdir()
        np.save(folder / f"set.{k:03d}" / "coord.npy", x.reshape(len(x), -1))
        np.save(folder / f"set.{k:03d}" / "box.npy", c.reshape(len(c), -1))
    return folder


def mdanalysis(file, r, *, dt=0.002):
    """Write what MDAnalysis writes, and top.pdb beside it; an orthogonal cell of 12 Å."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis as mda

        universe = mda.Universe.empty(len(SYMBOLS), trajectory=True)
        universe.add_TopologyAttr("names", SYMBOLS)
        universe.add_TopologyAttr("elements", SYMBOLS)
        lengths = [12.0, 12.0, 12.0, 90.0, 90.0, 90.0]
        universe.dimensions = lengths
        universe.atoms.positions = r[0]
        universe.atoms.write(str(file.with_name("top.pdb")))
        with mda.Writer(str(file), len(SYMBOLS), **({"dt": dt} if file.suffix == ".dcd" else {})) as writer:
            for t, frame in enumerate(r):
                universe.atoms.positions = frame
                universe.dimensions = lengths
                universe.trajectory.ts.time = t * dt
                writer.write(universe.atoms)
    return file


def moved(positions):
    return positions - positions[:1]
