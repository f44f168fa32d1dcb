# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the documentation site of what antsibull-docs writes; ``make docs`` runs both."""

project = "pgbeam.cloud"
project_copyright = "The pgbeam.cloud contributors"
html_title = "pgbeam.cloud"
html_short_title = "pgbeam.cloud"

# No intersphinx: the site is built without a network, so what Ansible's own pages explain is named but not linked.
extensions = ["sphinx_antsibull_ext"]
nitpicky = True
nitpick_ignore = [
    ("std:ref", "common_return_values"),
    ("std:ref", "ansible_configuration_settings"),
    ("std:ref", "action_plugins"),
]
default_role = "any"
highlight_language = "YAML+Jinja"
pygments_style = "ansible"

REPOSITORY = "https://github.com/pgbeam/pgbeam.cloud"
html_theme = "sphinx_ansible_theme"
html_theme_options = {
    "documentation_home_url": REPOSITORY,
    "topbar_links": {"Repository": REPOSITORY, "Issues": f"{REPOSITORY}/issues"},
}
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sphinx = False
html_use_index = False
html_copy_source = False
