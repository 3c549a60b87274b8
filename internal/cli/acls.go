package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/rights"
)

func aclsCommand(e *command.Env) *cobra.Command {
	var principal string
	var purposes []string
	cmd := e.Configured(&cobra.Command{
		Use: "acls", Short: "Print the kafka-acls.sh lines that a principal needs", Args: command.NoArguments,
		Long: `Prints the lines of kafka-acls.sh that give a principal what it needs, with the topics, the group and the delivery of the
configuration, for people to read, change and run. It connects to nothing. doctor and topics check look with the
rights of run; resume asks the instances, and needs none.`,
		Example: `  balanceq acls --principal User:balanceq
  balanceq acls --principal User:oncall --for status,deadletters,replay`,
	}, func(_ context.Context, c *command.Call) error {
		if principal == "" {
			return command.WrongUsage(errors.New("--principal: is missing; write for example --principal User:balanceq"))
		}
		for _, name := range purposes {
			if err := printACLs(c, principal, rights.Purpose(name)); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.Flags().StringVar(&principal, "principal", "", "`who` gets the rights, as Kafka names it, for example User:balanceq")
	cmd.Flags().StringSliceVar(&purposes, "for", []string{string(rights.Run)},
		"`what` for: "+strings.Join(purposeNames(), ", "))
	command.Words(cmd.Flags(), "for", rights.Purposes...)
	return cmd
}

func printACLs(c *command.Call, principal string, purpose rights.Purpose) error {
	all := rights.For(c.Config, purpose)
	if len(all) == 0 {
		return command.WrongUsage(fmt.Errorf("--for: %q is not known; write %s", term.Shorten(string(purpose)),
			strings.Join(purposeNames(), ", ")))
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "# %s\n", commandsOf[purpose])
	for _, r := range all {
		if r.Without != "" {
			fmt.Fprintf(&lines, "# without the next one: %s\n", r.Without)
		}
		lines.WriteString(r.Command(c.Config.Kafka, principal) + "\n")
	}
	_, err := fmt.Fprint(c.Out, lines.String())
	return err
}

// commandsOf are the commands that a purpose is about; doctor and topics check are about run, and look with its rights.
var commandsOf = map[rights.Purpose]string{
	rights.Run: "balanceq run, doctor, topics check", rights.Request: "balanceq request",
	rights.Results:     "balanceq results",
	rights.DeadLetters: "balanceq deadletters list, show, export, history",
	rights.Replay:      "balanceq deadletters replay", rights.Skip: "balanceq skip", rights.Status: "balanceq status",
	rights.Topics: "balanceq topics create",
}

func purposeNames() []string {
	names := make([]string, len(rights.Purposes))
	for i, p := range rights.Purposes {
		names[i] = string(p)
	}
	return names
}
