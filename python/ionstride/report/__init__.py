"""The report: results as JSON, as one self-contained page, as figures and as a table for the terminal."""

from .analysis_figures import curves_figure
from .analysis_page import write_analysis_page
from .arrhenius_figures import arrhenius_figure
from .arrhenius_page import write_arrhenius_page
from .canvas import save, to_svg
from .dataset_page import write_dataset_json, write_dataset_page
from .figures import learning_curve_figure, msd_figure, parity_figure
from .judge_figures import judge_figures
from .judge_page import write_judge_page
from .mdgan_figures import evaluation_figures, plateau_figure
from .mdgan_page import write_evaluation_page
from .mechanism_figures import (
    density_figure,
    jump_figure,
    mechanism_figures,
    pair_figure,
    van_hove_figure,
    vibration_figure,
)
from .page import write_report, write_results
from .simulation_figures import md_figure, structure_figure
from .summary import summary_table
from .trainings_page import write_trainings_page

__all__ = [
    "arrhenius_figure",
    "curves_figure",
    "density_figure",
    "evaluation_figures",
    "judge_figures",
    "jump_figure",
    "learning_curve_figure",
    "md_figure",
    "mechanism_figures",
    "msd_figure",
    "pair_figure",
    "parity_figure",
    "plateau_figure",
    "save",
    "structure_figure",
    "summary_table",
    "to_svg",
    "van_hove_figure",
    "vibration_figure",
    "write_analysis_page",
    "write_arrhenius_page",
    "write_dataset_json",
    "write_dataset_page",
    "write_evaluation_page",
    "write_judge_page",
    "write_report",
    "write_results",
    "write_trainings_page",
]
