package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/finding"
)

// originDefault is the origin of a key that nothing has set.
const originDefault = "default"

// Loaded is a valid configuration and where it came from.
type Loaded struct {
	Config Config
	// Warnings are worth a line in the log.
	Warnings []finding.Finding

	origins map[string]string // by key
}

// Origin says where a key's value came from: "--kafka.group", "BALANCEQ_KAFKA_GROUP", "balanceq.yaml:3", for a secret
// the key of its file, for a default that gave way the key it gave way to, or "default". It is empty for a key that
// does not exist.
func (l *Loaded) Origin(name string) string {
	if origin, ok := l.origins[name]; ok {
		return origin
	}
	if lookup(name) == nil {
		return ""
	}
	return originDefault
}

// Given returns the keys that are not at their default, with where they came from; a limit that gave way to another key
// is not one of them, and a secret that came from a file has the key of that file as its origin.
func (l *Loaded) Given() map[string]string {
	given := maps.Clone(l.origins)
	maps.DeleteFunc(given, func(name, origin string) bool { return lookup(origin) != nil && !lookup(name).secret() })
	return given
}

// Load puts the configuration together from the defaults, the file that --config or BALANCEQ_CONFIG names, the
// variables in environ (NAME=value, as from os.Environ) and the flags of fs (after Register and Parse; nil: none), each
// winning over the ones before it. The error joins everything that is wrong in any of them; see Config.Validate for
// what is checked. Whether there is a CMS to call is only checked by Config.ValidateRun.
func Load(fs *pflag.FlagSet, environ []string) (*Loaded, error) {
	l, problems := collect(fs, environ)
	if len(problems) > 0 {
		return nil, finding.Join(findings(problems)...)
	}
	return &l.Loaded, nil
}

// Problem is something that is wrong, with all keys that it is about; without one, it is about the whole of it.
type Problem struct {
	finding.Finding
	Keys []string
}

// Inspect is Load and Config.ValidateRun for a look at a configuration in which something may be wrong. What is wrong
// stands in what it returns as it was read, or at its default.
func Inspect(fs *pflag.FlagSet, environ []string) (*Loaded, []Problem) {
	l, problems := collect(fs, environ)
	if p, missing := l.Config.missingURL(); missing && !slices.ContainsFunc(problems, func(other problem) bool {
		return other.Key == p.Key || other.Key == fileFlag || other.Key == ""
	}) {
		problems = append(problems, p)
	}
	var all []Problem
	for _, p := range problems {
		about := Problem{Finding: p.Finding}
		if p.Key != "" && p.Key != fileFlag {
			about.Keys = append([]string{p.Key}, p.with...)
		}
		all = append(all, about)
	}
	return &l.Loaded, all
}

func collect(fs *pflag.FlagSet, environ []string) (*loader, []problem) {
	l := &loader{Loaded: Loaded{Config: Default(), origins: map[string]string{}}}
	variables := environment(environ)

	l.applyFile(filePath(fs, variables))
	l.applyEnvironment(variables)
	l.applyFlags(fs)
	l.readSecretFiles()
	l.nameInstance()
	l.uncross()

	problems := slices.Concat(l.problems, l.validate())
	if len(problems) == 0 {
		for _, p := range l.Config.warnings() {
			l.Warnings = append(l.Warnings, l.locate(p).Finding)
		}
	}
	return l, problems
}

// loader collects settings and problems, one source after the other.
type loader struct {
	Loaded
	problems []problem
}

// filePath returns the configuration file's path; empty means there is none.
func filePath(fs *pflag.FlagSet, variables map[string]string) string {
	if fs != nil {
		if f := fs.Lookup(fileFlag); f != nil && f.Changed {
			return f.Value.String()
		}
	}
	return variables[envName(fileFlag)]
}

func (l *loader) applyFile(path string) {
	if path == "" {
		return
	}
	data, err := readFile(path)
	if err != nil {
		l.problems = append(l.problems, wrong(
			fmt.Sprintf("reading configuration file: %v", err), "check --config and "+envName(fileFlag), fileFlag))
		return
	}
	settings, problems := parseFile(path, data)
	l.problems = append(l.problems, problems...)
	for _, s := range settings {
		l.apply(s)
	}
}

func (l *loader) applyEnvironment(variables map[string]string) {
	for i := range keys {
		k := &keys[i]
		if v, ok := variables[k.env()]; ok {
			l.apply(setting{key: k, text: v, origin: k.env()})
			delete(variables, k.env())
		}
	}
	delete(variables, envName(fileFlag))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		l.Warnings = append(l.Warnings, unknownVariable(name)...)
	}
}

func (l *loader) applyFlags(fs *pflag.FlagSet) {
	if fs == nil {
		return
	}
	for i := range keys {
		k := &keys[i]
		if f := fs.Lookup(k.name); f != nil && f.Changed && !k.secret() {
			l.apply(setting{key: k, text: f.Value.String(), origin: "--" + k.name})
		}
	}
}

// apply sets one key. A value of the wrong type is a problem even if a later source replaces it.
func (l *loader) apply(s setting) {
	v := s.key.bind(&l.Config)
	if err := v.set(s.text); err != nil {
		f := wrongType(s.key, v, s.text)
		p := wrong(f.what, f.fix, s.key.name)
		p.From = []string{s.origin}
		l.problems = append(l.problems, p)
		return
	}
	l.origins[s.key.name] = s.origin
}

// readSecretFiles sets the secrets for which a file is named.
func (l *loader) readSecretFiles() {
	for i := range keys {
		k := &keys[i]
		if !k.secret() {
			continue
		}
		fileKey := lookup(k.name + "-file")
		path := fileKey.bind(&l.Config).String()
		if path == "" {
			continue
		}
		secret := k.bind(&l.Config)
		if secret.String() != "" {
			l.problems = append(l.problems, l.locate(wrong(
				"is given, and so is "+fileKey.name, "unset one of them", k.name, fileKey.name)))
			continue
		}
		data, err := readFile(path)
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err // without the path: who mixes the two keys up gives the secret itself
		}
		what, fix := fmt.Sprintf("reading secret: %v", err), "name a file that this process may read"
		if err == nil {
			if err = secret.set(string(data)); err == nil && secret.String() != "" {
				l.origins[k.name] = fileKey.name
				continue
			}
			what, fix = "the file is empty", "write the secret into it"
		}
		l.problems = append(l.problems, l.locate(wrong(what, fix, fileKey.name)))
	}
}

// nameInstance fills in the one default that is not a constant.
func (l *loader) nameInstance() {
	if l.Config.Instance != "" {
		return
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		l.problems = append(l.problems, wrong(
			"the host name is not known", "set an instance name, for example balanceq-0", "instance"))
		return
	}
	l.Config.Instance = name
}

// uncross lets defaults give way: at most 4 calls can be asked for without a thought of the minimum, which is 8.
func (l *loader) uncross() {
	for _, s := range l.Config.spans() {
		if !s.crossed || l.Origin(s.yields) != originDefault {
			continue
		}
		given := s.low
		if s.yields == s.low {
			given = s.high
		}
		// A bad value is reported; what would follow from it is not.
		if !l.Config.bad(given) {
			_ = lookup(s.yields).bind(&l.Config).set(lookup(given).bind(&l.Config).String()) // both are of one type
			l.origins[s.yields] = given
		}
	}
	if cms := &l.Config.CMS; l.Origin(windowKey) == originDefault && cms.Timeout <= longest/2 &&
		cms.Breaker.Window < 2*cms.Timeout {
		cms.Breaker.Window = 2 * cms.Timeout
		l.origins[windowKey] = "cms.timeout"
	}
	name, d := l.Config.slowest()
	if after := &l.Config.Watchdog.After; l.Origin(watchdogKey) == originDefault && d <= longest && d >= *after {
		*after = 2 * d
		l.origins[watchdogKey] = name
	}
}

// validate checks the configuration as far as it could be read: what follows from a default that stands in for an
// unreadable value would only confuse.
func (l *loader) validate() []problem {
	unreadable := map[string]bool{}
	for _, p := range l.problems {
		unreadable[p.Key] = true
		for _, name := range p.with {
			unreadable[name] = true
		}
	}
	var problems []problem
	for _, p := range l.Config.problems() {
		if !p.about(unreadable) {
			problems = append(problems, l.locate(p))
		}
	}
	return problems
}

// locate adds where the values came from.
func (l *loader) locate(p problem) problem {
	for _, name := range append([]string{p.Key}, p.with...) {
		if origin := l.Origin(name); origin != originDefault && !slices.Contains(p.From, origin) {
			p.From = append(p.From, origin)
		}
	}
	return p
}
