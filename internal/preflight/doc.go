// Package preflight holds the checks of Kafka and of the way to the CMS that run makes before it joins the group.
// `topics check` and `doctor` make them too. None changes anything.
package preflight
