package userfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Seal returns a writer whose bytes reach w encrypted in the age format (age-encryption.org/v1),
// for a passphrase or for every one of the recipients. Close writes the last block: without it the file counts
// as cut.
func Seal(w io.Writer, passphrase string, recipients []string) (io.WriteCloser, error) {
	var to []age.Recipient
	switch {
	case passphrase != "" && len(recipients) > 0:
		return nil, errors.New("a file is sealed for a passphrase or for recipients, not for both")
	case passphrase != "":
		r, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, err
		}
		to = []age.Recipient{r}
	}
	for _, text := range recipients {
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%q is not an age recipient (age1...)", text)
		}
		to = append(to, r...)
	}
	if len(to) == 0 {
		return nil, errors.New("a passphrase or a recipient is needed: the file holds what passwords are checked with")
	}
	return age.Encrypt(w, to...)
}

// maxWorkFactor bounds what opening a file may cost: 2^20 rounds of scrypt, a gigabyte of memory.
const maxWorkFactor = 20

// sealedPrefix begins every file of the age format.
const sealedPrefix = "age-encryption.org/v1\n"

// Unseal returns what Seal was given. sealed is false for a file that is not encrypted, which is
// returned as it is. A wrong key is an error here; an altered or cut file one of the reader's.
func Unseal(r io.Reader, passphrase, identities string) (content io.Reader, sealed bool, err error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if begin, _ := buffered.Peek(len(sealedPrefix)); !bytes.Equal(begin, []byte(sealedPrefix)) {
		return buffered, false, nil
	}
	var by []age.Identity
	if passphrase != "" {
		id, err := age.NewScryptIdentity(passphrase)
		if err != nil {
			return nil, true, err
		}
		id.SetMaxWorkFactor(maxWorkFactor)
		by = append(by, id)
	}
	if identities != "" {
		ids, err := age.ParseIdentities(strings.NewReader(identities))
		if err != nil {
			return nil, true, errors.New("the identity file holds no identity of age (AGE-SECRET-KEY-1...)")
		}
		by = append(by, ids...)
	}
	if len(by) == 0 {
		return nil, true, errors.New("the file is sealed; give its passphrase or an identity")
	}
	content, err = age.Decrypt(buffered, by...)
	var no *age.NoIdentityMatchError
	if errors.As(err, &no) {
		err = errors.New("the file does not open: it is sealed for another passphrase or recipient")
	} else if err != nil {
		err = fmt.Errorf("the file does not open: %w", err)
	}
	return content, true, err
}
