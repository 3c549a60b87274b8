// Package replay puts the requests of dead letters back, each exactly once. Rules say which may be, a Run does it, and
// a History says what became of them.
package replay
