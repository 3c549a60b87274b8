// Package app puts the parts together into the running program: wiring, the checks before it starts, and the order in
// which it stops.
package app
