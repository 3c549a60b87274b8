package keys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const setting = "the signing key"

// upper parses contents that begin with "ok".
func upper(contents [][]byte) (string, error) {
	var out string
	for _, content := range contents {
		if !strings.HasPrefix(string(content), "ok") {
			return "", errors.New("this does not begin with ok: write ok")
		}
		out += strings.ToUpper(string(content)) + ";"
	}
	return out, nil
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, paths ...string) *File[string] {
	t.Helper()
	f, err := Open(setting, paths, upper)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// refresh checks all that a Refresh says; want is part of the error, empty for none.
func refresh(t testing.TB, f *File[string], changed bool, want, value string) {
	t.Helper()
	got, err := f.Refresh()
	if got != changed || (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("Refresh: %v, %v; want %v, %q", got, err, changed, want)
	}
	if err != nil && !strings.HasPrefix(err.Error(), setting+" (") {
		t.Errorf("the error does not name the setting: %v", err)
	}
	if f.Value() != value {
		t.Errorf("value %q, want %q", f.Value(), value)
	}
}

func TestRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pem")
	write(t, path, []byte("ok1"))
	f := open(t, path)
	failing := func(want bool) {
		t.Helper()
		if got := f.Failing(); (got != nil) != want {
			t.Errorf("failing: %v", got)
		}
	}
	refresh(t, f, false, "", "OK1;")
	failing(false)

	write(t, path, []byte("ok2"))
	refresh(t, f, true, "", "OK2;")
	refresh(t, f, false, "", "OK2;")

	write(t, path, []byte("o")) // half written
	refresh(t, f, false, "a.pem", "OK2;")
	refresh(t, f, false, "", "OK2;")
	write(t, path, nil) // still not
	refresh(t, f, false, "begin with ok", "OK2;")
	refresh(t, f, false, "", "OK2;")
	failing(true)
	write(t, path, []byte("ok3"))
	refresh(t, f, true, "", "OK3;")
	failing(false)

	write(t, path, []byte("bad"))
	refresh(t, f, false, "begin with ok", "OK3;")
	failing(true)
	write(t, path, []byte("ok3")) // back to what is loaded
	refresh(t, f, false, "", "OK3;")
	failing(false)
	write(t, path, []byte("bad")) // the same mistake again is a new one
	refresh(t, f, false, "begin with ok", "OK3;")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refresh(t, f, false, "check that it exists", "OK3;")
	failing(true)
	refresh(t, f, false, "", "OK3;")
	write(t, path, []byte("ok4"))
	refresh(t, f, true, "", "OK4;")
}

// TestRefreshFindsEveryReplacement replaces the file in ways that leave its size and time as they were.
func TestRefreshFindsEveryReplacement(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	write(t, path, []byte("ok1"))
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, path)

	write(t, path, []byte("ok2"))
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	refresh(t, f, true, "", "OK2;")

	temporary := filepath.Join(dir, "new")
	write(t, temporary, []byte("ok3"))
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
	refresh(t, f, true, "", "OK3;")
}

// TestRefreshOfAMountedSecret swaps the folder as a kubelet does: the files are links into it by way of ..data.
func TestRefreshOfAMountedSecret(t *testing.T) {
	dir := t.TempDir()
	link := func(target, name string) {
		t.Helper()
		temporary := filepath.Join(dir, "..tmp")
		if err := os.Symlink(target, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for version, files := range map[string][2]string{"..1": {"ok-a1", "ok-b1"}, "..2": {"ok-a2", "ok-b2"}} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "a"), []byte(files[0]))
		write(t, filepath.Join(dir, version, "b"), []byte(files[1]))
	}
	link("..1", "..data")
	link("..data/a", "a")
	link("..data/b", "b")

	f := open(t, filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	refresh(t, f, false, "", "OK-A1;OK-B1;")
	link("..2", "..data")
	refresh(t, f, true, "", "OK-A2;OK-B2;")
	link("..nothing", "..data")
	refresh(t, f, false, setting+" (a)", "OK-A2;OK-B2;")
}

// TestRefreshTellsFilesApart: the same text, divided otherwise between the files, is another content.
func TestRefreshTellsFilesApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		text := rapid.StringMatching(`ok[ok]{0,6}`).Draw(rt, "text")
		cut, next := rapid.IntRange(0, len(text)).Draw(rt, "cut"), rapid.IntRange(0, len(text)).Draw(rt, "next")
		parse := func(contents [][]byte) (string, error) { return fmt.Sprintf("%q", contents), nil }

		write(t, a, []byte(text[:cut]))
		write(t, b, []byte(text[cut:]))
		f, err := Open(setting, []string{a, b}, parse)
		if err != nil {
			rt.Fatal(err)
		}
		write(t, a, []byte(text[:next]))
		write(t, b, []byte(text[next:]))
		changed, err := f.Refresh()
		if want := fmt.Sprintf("%q", []string{text[:next], text[next:]}); err != nil || f.Value() != want ||
			changed != (cut != next) {
			rt.Fatalf("%v, %v, %s; want %s", changed, err, f.Value(), want)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good, bad, large := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "large")
	write(t, good, []byte("ok"))
	write(t, bad, []byte("bad"))
	write(t, large, []byte("ok"))
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{filepath.Join(dir, "missing")}, "(missing): the file cannot be read"},
		{[]string{good, filepath.Join(dir, "missing")}, "(missing): the file cannot be read"},
		{[]string{good, bad}, "(good, bad): this does not begin with ok"},
		{[]string{dir}, "not a regular file"},
		{[]string{os.DevNull}, "not a regular file"},
		{[]string{large}, "larger than"},
		{[]string{filepath.Join(good, "below")}, "(below): the file cannot be read"},
	} {
		f, err := Open(setting, test.paths, upper)
		if f != nil || err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), setting) {
			t.Errorf("%v, error %v, want one with %q", f, err, test.want)
		} else if strings.Contains(err.Error(), dir) {
			t.Errorf("the error names the folder: %v", err)
		}
	}
}

// TestConcurrentRefresh: each change is reported to one of many, and every value that is seen is whole.
func TestConcurrentRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, []byte("ok0"))
	f := open(t, path)
	for round := 1; round <= 50; round++ {
		write(t, path, fmt.Appendf(nil, "ok%d", round))
		old, fresh := fmt.Sprintf("OK%d;", round-1), fmt.Sprintf("OK%d;", round)
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			changes int
		)
		for range 8 {
			wg.Go(func() {
				if value := f.Value(); value != old && value != fresh {
					t.Errorf("value %q", value)
				}
				changed, err := f.Refresh()
				if err != nil {
					t.Error(err)
				}
				if value := f.Value(); value != fresh {
					t.Errorf("value %q after Refresh", value)
				}
				mu.Lock()
				defer mu.Unlock()
				if changed {
					changes++
				}
			})
		}
		wg.Wait()
		if changes != 1 {
			t.Fatalf("round %d: %d changes", round, changes)
		}
	}
}

// TestKeyFile is the use: a key that is rotated while requests are signed.
func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	first, second := block("PRIVATE KEY", pkcs8(t, own(t).private)), block("PRIVATE KEY", pkcs8(t, other(t).private))
	write(t, path, first)
	f, err := Open(setting, []string{path}, func(contents [][]byte) (Key, error) { return Parse(contents[0], "") })
	if err != nil {
		t.Fatal(err)
	}
	for size := range len(second) - 1 { // only the last line break may be missing
		write(t, path, second[:size])
		if changed, _ := f.Refresh(); changed || !f.Value().Private.Equal(own(t).private) {
			t.Fatalf("%d of %d bytes are taken for a key", size, len(second))
		}
	}
	write(t, path, second)
	if changed, err := f.Refresh(); !changed || err != nil || !f.Value().Private.Equal(other(t).private) {
		t.Errorf("%v, %v", changed, err)
	}
}

// What Latest has found is reported by the next Refresh, once.
func TestLatest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pem")
	write(t, path, []byte("ok1"))
	f := open(t, path)
	latest := func(want string) {
		t.Helper()
		if got := f.Latest(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	latest("OK1;")
	write(t, path, []byte("ok2"))
	latest("OK2;")
	refresh(t, f, true, "", "OK2;")
	refresh(t, f, false, "", "OK2;")
	write(t, path, []byte("bad"))
	latest("OK2;")
	if f.Failing() == nil {
		t.Error("nothing is said of a file that cannot be used")
	}
	refresh(t, f, false, "a.pem", "OK2;")
	refresh(t, f, false, "", "OK2;")
	write(t, path, []byte("ok2"))
	latest("OK2;")
	refresh(t, f, false, "", "OK2;")
}
