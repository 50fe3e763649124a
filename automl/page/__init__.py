"""Pages of HTML that need nothing but themselves: the study page, and the shell that others use too."""
