package userfile

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

// written makes a file: a header, a group, two users, the end.
func written(t *testing.T) (file string, key ed25519.PrivateKey) {
	t.Helper()
	key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	d := NewDigest()
	add := func(v any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d = d.Add(line)
		file += string(line) + "\n"
	}
	add(Header{Moat: KindUsers, Version: Version, Pool: &Pool{ID: "eu-central-1_AbCdEf123", Record: json.RawMessage(`{"Name":"school"}`)}})
	add(Line{Group: &Group{Name: "staff"}})
	add(Line{User: &User{Username: "ann", Sub: "1"}})
	add(Line{User: &User{Username: "bob", Sub: "2"}})
	end, err := json.Marshal(Line{End: Sign(key, 1, 2, d)})
	if err != nil {
		t.Fatal(err)
	}
	return file + string(end) + "\n", key
}

// read reads a file to its end.
func read(r io.Reader) (names []string, end *End, err error) {
	f, err := Open(r)
	if err != nil {
		return nil, nil, err
	}
	for {
		line, err := f.Next()
		switch {
		case errors.Is(err, io.EOF):
			return names, f.End, nil
		case err != nil:
			return names, nil, err
		case line.User != nil:
			names = append(names, line.User.Username)
		}
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	file, key := written(t)
	names, end, err := read(strings.NewReader(file))
	if err != nil || strings.Join(names, " ") != "ann bob" {
		t.Fatalf("got %v, %v", names, err)
	}
	signer := EncodeKey(key.Public().(ed25519.PublicKey))
	if err := end.SignedBy(signer); err != nil {
		t.Error(err)
	}
	other := EncodeKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey))
	for _, k := range []string{"", "moat-users-", signer[:len(signer)-1], signer + "A", other} {
		if end.SignedBy(k) == nil {
			t.Errorf("signed by %q, too", k)
		}
	}
	if names, end, err := read(strings.NewReader("{\"moat\":\"foreign-users\",\"version\":1}\n{\"user\":{\"username\":\"ann\"}}\n")); err != nil || len(names) != 1 || end != nil {
		t.Errorf("got %v, %v, %v", names, end, err)
	}
}

func TestReader_refuses(t *testing.T) {
	t.Parallel()
	file, key := written(t)
	lines := strings.SplitAfter(file, "\n")
	lines = lines[:len(lines)-1]
	join := func(i ...int) string {
		out := ""
		for _, n := range i {
			out += lines[n]
		}
		return out
	}
	end, _ := json.Marshal(Line{End: Sign(key, 1, 2, NewDigest())})
	for name, c := range map[string]struct{ file, why string }{
		"nothing":              {"", "empty"},
		"something else":       {"{\"users\":[]}\n", "not a file of users"},
		"not JSON":             {"username,email\n", "not a file of users"},
		"another version":      {strings.Replace(file, `"version":1`, `"version":2`, 1), "version 2"},
		"no version":           {strings.Replace(file, `"version":1,`, ``, 1), "version <nil>"},
		"no signature":         {join(0, 1, 2, 3), "cut"},
		"cut in a line":        {file[:len(file)-20], "line 5"},
		"the header only":      {join(0), "cut"},
		"a user left out":      {join(0, 1, 2, 4), "altered"},
		"the header exchanged": {`{"moat":"users","version":1}` + "\n" + join(1, 2, 3, 4), "altered"},
		"users exchanged":      {join(0, 1, 3, 2, 4), "altered"},
		"a user twice":         {join(0, 1, 2, 3, 3, 4), "altered"},
		"a byte altered":       {strings.Replace(file, "ann", "amn", 1), "altered"},
		"a space added":        {strings.Replace(file, `{"user"`, `{ "user"`, 1), "altered"},
		"something behind":     {file + lines[3], "behind the signature"},
		"a blank line behind":  {file + "\n", "behind the signature"},
		"a group behind users": {join(0, 2, 1, 3, 4), "line 3"},
		"an unknown member":    {join(0) + `{"user":{"username":"ann","admin":true}}` + "\n", "admin"},
		"two objects":          {join(0) + `{"user":{"username":"ann"}} {}` + "\n", "more than one"},
		"an empty object":      {join(0) + "{}\n", "line 2"},
		"user and group":       {join(0) + `{"user":{"username":"a"},"group":{"name":"b"}}` + "\n", "line 2"},
		"a line too long":      {join(0) + `{"user":{"username":"` + strings.Repeat("a", maxLine) + `"}}` + "\n", "line 2"},
		"another file's end":   {join(0, 1, 2, 3) + string(end) + "\n", "altered"},
		"another key":          {strings.Replace(file, `"key":"moat-users-`, `"key":"moat-users-A`, 1), "altered"},
		"an end in a foreign":  {strings.Replace(file, `"users"`, `"foreign-users"`, 1), "line 5"},
	} {
		_, _, err := read(strings.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.why)
		}
	}
}

func seal(t *testing.T, text, passphrase string, recipients ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := Seal(&out, passphrase, recipients)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSeal(t *testing.T) {
	t.Parallel()
	file, _ := written(t)
	mine, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, file, "", mine.Recipient().String())
	open := func(b []byte, passphrase, identities string) error {
		r, _, err := Unseal(bytes.NewReader(b), passphrase, identities)
		if err != nil {
			return err
		}
		_, _, err = read(r)
		return err
	}
	if err := open(sealed, "", mine.String()); err != nil {
		t.Error(err)
	}
	if bytes.Contains(sealed, []byte("ann")) {
		t.Error("the file is not sealed")
	}
	for name, c := range map[string]struct {
		file                   []byte
		passphrase, identities string
	}{
		"no key":              {sealed, "", ""},
		"another key":         {sealed, "", other.String()},
		"no identity":         {sealed, "", "secret"},
		"a passphrase":        {sealed, "secret", ""},
		"cut":                 {sealed[:len(sealed)-1], "", mine.String()},
		"cut to the header":   {sealed[:200], "", mine.String()},
		"a bit of the seal":   {flip(sealed, 60), "", mine.String()},
		"a bit of a user":     {flip(sealed, len(sealed)-100), "", mine.String()},
		"the last bit":        {flip(sealed, len(sealed)-1), "", mine.String()},
		"something behind it": {append(bytes.Clone(sealed), 'x'), "", mine.String()},
	} {
		if err := open(c.file, c.passphrase, c.identities); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	for name, c := range map[string]struct {
		passphrase string
		recipients []string
	}{"nobody": {}, "both": {"secret", []string{mine.Recipient().String()}}, "no recipient": {"", []string{"age1x"}}} {
		if _, err := Seal(io.Discard, c.passphrase, c.recipients); err == nil {
			t.Errorf("sealed for %s", name)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestSeal_passphrase(t *testing.T) {
	t.Parallel()
	sealed := seal(t, "hello", "correct horse")
	r, is, err := Unseal(bytes.NewReader(sealed), "correct horse", "")
	if err != nil || !is {
		t.Fatal(is, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, err := Unseal(bytes.NewReader(sealed), "wrong horse", ""); err == nil || !strings.Contains(err.Error(), "another passphrase") {
		t.Errorf("got %v", err)
	}
	if r, is, err := Unseal(strings.NewReader("{}"), "correct horse", ""); err != nil || is {
		t.Errorf("got %v, %v", is, err)
	} else if got, _ := io.ReadAll(r); string(got) != "{}" {
		t.Errorf("got %q", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("{\"moat\":\"foreign-users\",\"version\":1}\n{\"user\":{\"username\":\"ann\"}}\n")
	f.Add("{\"moat\":\"users\",\"version\":1}\n{\"end\":{}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Open(strings.NewReader(text))
		if err != nil {
			return
		}
		for {
			if _, err = r.Next(); err != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) && r.Header.Moat == KindUsers && (r.End == nil || !r.End.signed()) {
			t.Fatal("a file without a signature counts as whole")
		}
	})
}
