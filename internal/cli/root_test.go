package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
)

// Both ways of asking for the version give the same line.
func TestVersion(t *testing.T) {
	var asked [2]string
	for i, args := range [][]string{{"version"}, {"--version"}} {
		var out, errOut bytes.Buffer
		if code := Execute(t.Context(), args, nil, &out, &errOut); code != 0 || errOut.Len() > 0 {
			t.Errorf("%v: exit code %d, said %q", args, code, &errOut)
		}
		asked[i] = out.String()
	}
	if asked[0] != asked[1] || asked[0] != "balanceq "+command.Version()+"\n" {
		t.Errorf("said %q", asked)
	}
}

// A command's help shows how it is given, and what is shown there works.
func TestHelpShowsExamples(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, member := range cmd.Commands() {
			look(member)
		}
		if cmd.HasSubCommands() || cmd.Name() == "version" || cmd.Name() == "help" {
			return
		}
		shown := 0
		for line := range strings.Lines(cmd.Example) {
			_, args, ok := strings.Cut(line, "balanceq ")
			if !ok {
				continue
			}
			if i := strings.IndexAny(args, "|>"); i >= 0 { // what the shell does with the output
				args = args[:i]
			}
			if err := parseCommand(strings.Fields(args)); err != nil {
				t.Errorf("%s: %v", cmd.CommandPath(), err)
			}
			if strings.HasPrefix("balanceq "+args, cmd.CommandPath()) {
				shown++
			}
		}
		if shown == 0 && cmd.Parent().Name() != "completion" {
			t.Errorf("the help of %s has no example", cmd.CommandPath())
		}
	}
	look(Root(&command.Env{}))
}

// What is wrong is named with the command whose help says more.
func TestWrongUsageNamesTheCommand(t *testing.T) {
	for want, args := range map[string][]string{
		"balanceq config check takes flags only":    {"config", "check", "more"},
		"balanceq config --help lists the commands": {"config", "chek"},
		"balanceq --help lists the commands":        {"rum"},
	} {
		var out, errOut bytes.Buffer
		code := Execute(t.Context(), args, nil, &out, &errOut)
		if code != 2 || !strings.Contains(errOut.String(), want) {
			t.Errorf("%v: exit code %d, said %q", args, code, &errOut)
		}
	}
}
