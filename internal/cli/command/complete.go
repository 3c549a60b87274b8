package command

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completing says whether a shell asks what could be written.
func completing(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// complete lets shells complete the values of all flags: words where there are some to choose from, files where one is
// named, else nothing.
func complete(cmd *cobra.Command) {
	for _, member := range cmd.Commands() {
		complete(member)
	}
	if !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		_ = cmd.RegisterFlagCompletionFunc(f.Name, completion(f)) // it fails where cobra has one of its own
	})
}

func completion(f *pflag.Flag) cobra.CompletionFunc {
	name, _ := pflag.UnquoteUsage(f)
	list := f.Value.Type() == "stringSlice"
	switch words := choices(f, name); {
	case f.Name == "config":
		return cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	case name == "path", name == "file", strings.HasSuffix(f.Name, "-file"), strings.HasSuffix(f.Name, "-files"):
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case list && len(words) > 0:
		return func(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
			before := given[:strings.LastIndex(given, ",")+1]
			var all []string
			for _, word := range words {
				if !slices.Contains(strings.Split(before, ","), word) && strings.HasPrefix(before+word, given) {
					all = append(all, before+word)
				}
			}
			return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
	default:
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
}

// choices are the words that a flag takes, as Words or the name of its value have them ("text|json"); nil: anything.
func choices(f *pflag.Flag, name string) []string {
	if words := f.Annotations[wordsKey]; words != nil {
		return words
	}
	for _, from := range []string{name, f.Value.Type()} {
		if strings.Contains(from, "|") {
			return strings.Split(strings.TrimSuffix(from, "|time|age"), "|") // of kafka.start, those are no words
		}
	}
	if f.Value.Type() == "bool" {
		return []string{"true", "false"}
	}
	return nil
}

const wordsKey = "words"

// Words says which words a flag takes, for shells that complete it.
func Words[T ~string](flags *pflag.FlagSet, name string, words ...T) {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	_ = flags.SetAnnotation(name, wordsKey, all) // the flag is there: who calls has just made it
}
