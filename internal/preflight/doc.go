// Package preflight holds the checks of the cluster and of the way to the CMS that run makes before it joins the group,
// and that `topics check` and `doctor` make too. None changes anything.
package preflight
