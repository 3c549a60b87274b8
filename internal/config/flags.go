package config

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// fileFlag is the flag that names the configuration file; BALANCEQ_CONFIG does the same.
const fileFlag = "config"

// Register adds --config and a flag for every key that is not a secret. Values are checked by Load, together with those
// of the other sources.
func Register(fs *pflag.FlagSet) {
	fs.String(fileFlag, "", "YAML file to read the configuration from")
	for i := range keys {
		k := &keys[i]
		if k.secret() {
			continue
		}
		v := k.bind(new(Config))
		_, isList := v.(list)
		flag := fs.VarPF(&flagValue{text: k.def, kind: v.kind(), list: isList}, k.name, "", k.helpText())
		if _, ok := v.(boolean); ok {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue keeps what was given. It accepts everything, because pflag's own message would show one problem at a time.
type flagValue struct {
	text    string
	kind    string
	list    bool
	changed bool
}

// String implements pflag.Value.
func (v *flagValue) String() string { return v.text }

// Type implements pflag.Value.
func (v *flagValue) Type() string { return v.kind }

// Set implements pflag.Value. A list may be given in several flags; of anything else the last one counts.
func (v *flagValue) Set(s string) error {
	if v.list && v.changed {
		s = v.text + "," + s
	}
	v.text, v.changed = s, true
	return nil
}

// FlagError improves on what pflag says of a flag it could not take: it adds the nearest known flag, and for a secret
// where to put it instead. It fits cobra's SetFlagErrorFunc; errors of another kind are returned as they are.
func FlagError(fs *pflag.FlagSet, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(fs, unknown)
	}
	if noValue, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		if k := lookup(noValue.GetSpecifiedName()); k != nil {
			return fmt.Errorf("--%s: needs a value; write for example --%s=%s", k.name, k.name, k.example)
		}
	}
	return err
}

func unknownFlag(fs *pflag.FlagSet, unknown *pflag.NotExistError) error {
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		// pflag repeats the argument as a whole, and the value in it may be a secret.
		return fmt.Errorf("-%s: unknown flag; write two dashes before a name, for example --cms.url", visible(name))
	}
	if k := lookup(name); k != nil && k.secret() {
		return fmt.Errorf("--%s: is a secret and not taken as a flag, which others could see; set %s or --%s-file",
			name, k.env(), name)
	}
	var known []string
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	near := Nearest(name, known)
	if near == "" {
		return fmt.Errorf("--%s: unknown flag; --help shows them all", visible(name))
	}
	return fmt.Errorf("--%s: unknown flag; did you mean --%s?", visible(name), near)
}
