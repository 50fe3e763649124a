"""Pages of HTML that need nothing but themselves: the study page, and the shell that others use too."""

PAGE = "page.html"  # of a study, in its folder
