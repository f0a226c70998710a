package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"moat/internal/service/userpool"
	"moat/internal/service/userpool/userfile"
)

// usersExport is what `moat users export` was asked for.
type usersExport struct {
	pool, out, passphraseFile string
	recipients                []string
	force                     bool
}

func newUsersExport(a *app) *cobra.Command {
	var flags clientFlags
	var in usersExport
	cmd := &cobra.Command{
		Use:   "export POOL",
		Short: "Write the users of a pool into a sealed file",
		Long: `Writes every user of a pool, with attributes, sub, groups, password verifier and history, second
factors, passkeys and devices, into one file. The file is encrypted in the age format, for a
passphrase or for recipients of age, and signed by the Moat it comes from. docs/users.md describes it.

The caller must be allowed moat:ExportUsers on the pool. Users who change while the export runs are
in the file as they were when it came to them. A broken export is begun again.

  moat users export us-east-1_a1b2c3d4e --out users.age --passphrase-file passphrase
  moat users export us-east-1_a1b2c3d4e --out users.age --recipient age1...`,
		Args: exactArgs("the id of a user pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.pool = args[0]
			return a.exportUsers(cmd.Context(), flags.client(a), in)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&in.out, "out", "", "the file to write")
	cmd.Flags().StringVar(&in.passphraseFile, "passphrase-file", "", "file of the passphrase that opens the file; - reads it from standard input")
	cmd.Flags().StringArrayVar(&in.recipients, "recipient", nil, "a public key of age (age1...) whose owner can open the file; may be given more than once")
	cmd.Flags().BoolVar(&in.force, "force", false, "replace the file if it is there")
	return cmd
}

func (a *app) exportUsers(ctx context.Context, c *client, in usersExport) error {
	if in.out == "" {
		return usagef("--out is needed: the file to write")
	}
	if err := c.carriesSecrets(); err != nil {
		return err
	}
	if _, err := os.Stat(in.out); !in.force && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already; --force replaces it", in.out)
	}
	passphrase, err := a.secretFile(in.passphraseFile)
	if err != nil {
		return err
	}
	part := in.out + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	end, err := a.writeUsers(ctx, c, in, passphrase, f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, in.out)
	}
	if err != nil {
		_ = os.Remove(part)
		return sentence(err)
	}
	if a.json {
		return a.printJSON(map[string]any{"event": "exported", "pool": in.pool, "file": in.out, "users": end.Users, "groups": end.Groups, "signedBy": end.Key})
	}
	_, err = fmt.Fprintf(a.stdout, "%s and %s are in %s.\nIt is signed by %s\n", plural(end.Users, "user"), plural(end.Groups, "group"), in.out, end.Key)
	return err
}

// writeUsers writes page after page, sealed, and returns the signed end.
func (a *app) writeUsers(ctx context.Context, c *client, in usersExport, passphrase string, f *os.File) (*userfile.End, error) {
	sealed, err := userfile.Seal(f, passphrase, in.recipients)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	shown := a.progress("exported")
	defer shown.end()
	ask := userpool.ExportRequest{Pool: in.pool}
	last := ""
	for {
		page, err := c.exportPage(ctx, ask)
		if err != nil {
			return nil, err
		}
		for _, last = range page.Lines {
			if _, err := io.WriteString(sealed, last+"\n"); err != nil {
				return nil, err
			}
		}
		shown.at(page.Users)
		if ask.Next = page.Next; ask.Next == "" {
			break
		}
	}
	var line userfile.Line
	if err := json.Unmarshal([]byte(last), &line); err != nil || line.End == nil {
		return nil, errors.New("the export did not end in a signature")
	}
	return line.End, errors.Join(sealed.Close(), f.Sync())
}

func (c *client) exportPage(ctx context.Context, in userpool.ExportRequest) (*userpool.ExportPage, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	out := &userpool.ExportPage{}
	return out, c.rest(ctx, "moat", http.MethodPost, "/_moat/users/export", body, out)
}
