"""Sphinx reads docs/*.md and the docstrings: `make docs`."""

from importlib.metadata import version as installed_version

project = "orthrus"
author = "The orthrus-mrna authors"
project_copyright = "2026, the orthrus-mrna authors"
version = release = installed_version("orthrus-mrna")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
suppress_warnings = ["mystnb.mime_priority"]
highlight_language = "none"  # a block without a language is a shell's

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # their outputs are kept in them: `make notebooks`

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_mock_imports: list[str] = []
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"orthrus {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0064a6", "color-brand-content": "#0064a6"},
    "dark_css_variables": {"color-brand-primary": "#5ab4e8", "color-brand-content": "#5ab4e8"},
}
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True
