package command

import (
	"fmt"
	"runtime/debug"
)

// version is set when a release is built.
var version = ""

// Version is the release, or what the Go toolchain knows about the build.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// PrintVersion prints it.
func (e *Env) PrintVersion() error {
	_, err := fmt.Fprintln(e.Out, "balanceq", Version())
	return err
}
