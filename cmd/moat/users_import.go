package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"moat/internal/service/userpool"
	"moat/internal/service/userpool/userfile"
)

// usersImport is what `moat users import` was asked for.
type usersImport struct {
	file, pool, passphraseFile, identityFile, signedBy string
	create, dryRun                                     bool
}

func newUsersImport(a *app) *cobra.Command {
	var flags clientFlags
	var in usersImport
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring users from a file into a pool",
		Long: `Reads a file of ` + "`moat users export`" + `, or users of another system in the format of docs/users.md,
and brings them into a pool. Nothing is imported before the whole file was read and found unaltered.
Users come in batches, each as a whole; those who are there already with the same sub stay as they
are, so a broken import is begun again. What speaks against a user is said, and keeps only him out;
the exit code is 1 then.

Where the pool has another id than the one in the file, SRP cannot work at first: the verifier holds
for the old id. Sign-in by the password itself works, and makes SRP work from then on. --create-pool
makes the pool anew with its old id; then everything works as before. Password hashes of other systems
work like that, too: the first sign-in must show the password.

The caller must be allowed moat:ImportUsers on the pool, and cognito-idp:CreateUserPool to make it.

  moat users import users.age --passphrase-file passphrase --create-pool
  moat users import users.age --identity-file key.txt --signed-by moat-users-... --pool us-east-1_z9y8x7w6v
  moat users import from-firebase.jsonl --pool us-east-1_z9y8x7w6v --dry-run`,
		Args: exactArgs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.file = args[0]
			return a.importUsers(cmd.Context(), flags.client(a), in)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&in.pool, "pool", "", "id of the pool (default: the one in the file)")
	cmd.Flags().BoolVar(&in.create, "create-pool", false, "make the pool of the file, with its id and settings, if it is not there")
	cmd.Flags().StringVar(&in.passphraseFile, "passphrase-file", "", "file of the passphrase that opens the file; - reads it from standard input")
	cmd.Flags().StringVar(&in.identityFile, "identity-file", "", "file of the age identity that opens the file")
	cmd.Flags().StringVar(&in.signedBy, "signed-by", "", "who must have signed the file, as the export said")
	cmd.Flags().BoolVar(&in.dryRun, "dry-run", false, "say what would happen, and change nothing")
	return cmd
}

// usersFile reads the users of a file, again and again. It is opened once: what is imported is
// what was looked through.
type usersFile struct {
	file                   *os.File
	passphrase, identities string
}

// read calls each with every line of the file, and returns its reader once the end was seen.
func (f *usersFile) read(each func(*userfile.Line) error) (r *userfile.Reader, byPassphrase bool, err error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	content, sealed, err := userfile.Unseal(f.file, f.passphrase, f.identities)
	if err != nil {
		return nil, false, err
	}
	if r, err = userfile.Open(content); err != nil {
		return nil, false, err
	}
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, sealed && f.passphrase != "", nil
		}
		if err == nil {
			err = each(line)
		}
		if err != nil {
			return nil, false, err
		}
	}
}

func (a *app) importUsers(ctx context.Context, c *client, in usersImport) error {
	if err := c.carriesSecrets(); err != nil {
		return err
	}
	file, err := os.Open(in.file)
	if err != nil {
		return err
	}
	defer file.Close()
	f := usersFile{file: file}
	if f.passphrase, err = a.secretFile(in.passphraseFile); err != nil {
		return err
	}
	if in.identityFile != "" {
		if f.identities, err = a.wholeFile(in.identityFile); err != nil {
			return err
		}
	}
	if f.passphrase != "" && f.identities != "" {
		return usagef("a file is opened by --passphrase-file or by --identity-file, not by both")
	}
	r, byPassphrase, err := f.read(func(*userfile.Line) error { return nil })
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	if err := trusted(r, byPassphrase, in.signedBy); err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	job, err := newImportJob(a, c, in, r)
	if err != nil {
		return err
	}
	if err := job.run(ctx, &f, r); err != nil {
		return sentence(err)
	}
	return job.report(r)
}

// trusted says whether a file is from whom it should be. Anybody can seal a file for a public
// key, so that one needs the signature; who knows the passphrase is believed by that.
func trusted(r *userfile.Reader, byPassphrase bool, signedBy string) error {
	switch {
	case r.End == nil && signedBy != "":
		return errors.New("the file is signed by nobody")
	case r.End == nil: // users of another system: whoever runs this vouches for them
		return nil
	case signedBy != "":
		return r.End.SignedBy(signedBy)
	case !byPassphrase:
		return usagef("anybody could have sealed this file: --signed-by is needed, with what the export said (the file says %s)", visible(r.End.Key))
	}
	return nil
}

// importJob brings the lines of a file to the server, batch by batch.
type importJob struct {
	a     *app
	c     *client
	in    usersImport
	next  userpool.ImportRequest
	size  int
	done  int
	shown *progress

	counts       map[string]int
	groups       int
	passwordOnly int
}

// maxImportBytes is where a batch ends that has large users.
const maxImportBytes = 4 << 20

func newImportJob(a *app, c *client, in usersImport, r *userfile.Reader) (*importJob, error) {
	own := r.Header.Pool
	if in.pool == "" && own != nil {
		in.pool = own.ID
	}
	switch {
	case in.pool == "":
		return nil, usagef("--pool is needed: the file names none")
	case in.create && own == nil:
		return nil, usagef("--create-pool needs a file of `moat users export`: this one describes no pool")
	case in.create && own.ID != in.pool:
		return nil, usagef("--create-pool makes the pool of the file, %s, not %s", own.ID, in.pool)
	}
	j := &importJob{a: a, c: c, in: in, counts: map[string]int{}, shown: a.progress("imported")}
	j.next = userpool.ImportRequest{Pool: in.pool, DryRun: in.dryRun, Foreign: r.Header.Moat == userfile.KindForeign, Firebase: r.Header.Firebase}
	if in.create {
		j.next.Create = own
	}
	return j, nil
}

// run reads the file a second time. It must be the same: its end says so.
func (j *importJob) run(ctx context.Context, f *usersFile, before *userfile.Reader) error {
	defer j.shown.end()
	r, _, err := f.read(func(line *userfile.Line) error {
		raw, err := json.Marshal(line)
		if err != nil {
			return err
		}
		if line.Group != nil {
			j.next.Groups = append(j.next.Groups, line.Group)
		} else {
			j.next.Users = append(j.next.Users, line.User)
		}
		j.size += len(raw)
		if len(j.next.Users) < userpool.MaxImportUsers && len(j.next.Groups) < userpool.MaxImportUsers && j.size < maxImportBytes {
			return nil
		}
		return j.send(ctx)
	})
	if err != nil {
		return err
	}
	if before.End != nil && (r.End == nil || string(r.End.Signature) != string(before.End.Signature)) {
		return errors.New("the file changed while it was imported; import it again")
	}
	return j.send(ctx)
}

// send sends a batch. The first one goes even without users: it makes the pool.
func (j *importJob) send(ctx context.Context) error {
	if len(j.next.Users) == 0 && len(j.next.Groups) == 0 && (j.done > 0 || j.next.Create == nil) {
		return nil
	}
	body, err := json.Marshal(j.next)
	if err != nil {
		return err
	}
	var out userpool.ImportAnswer
	if err := j.c.rest(ctx, "moat", http.MethodPost, "/_moat/users/import", body, &out); err != nil {
		return err
	}
	for i, r := range out.Groups {
		j.tell("group", r)
		if r.Outcome == userpool.ImportCreated {
			j.groups++
		}
		if j.in.dryRun && i < len(j.next.Groups) {
			j.next.Known = append(j.next.Known, j.next.Groups[i].Name)
		}
	}
	for _, r := range out.Users {
		j.tell("user", r)
		j.counts[r.Outcome]++
		if r.PasswordOnly {
			j.passwordOnly++
		}
	}
	j.done += len(j.next.Users) + len(j.next.Groups)
	j.next.Users, j.next.Groups, j.size = nil, nil, 0
	j.shown.at(j.done)
	return nil
}

// tell says why somebody was kept out.
func (j *importJob) tell(what string, r userpool.ImportResult) {
	if r.Why == "" {
		return
	}
	if what == "group" {
		j.counts[r.Outcome]++
	}
	if j.a.json {
		_ = j.a.printJSON(map[string]string{"event": r.Outcome, what: r.Name, "message": r.Why})
		return
	}
	fmt.Fprintf(j.a.stderr, "%s %q: %s\n", what, r.Name, visible(r.Why))
}

func (j *importJob) report(r *userfile.Reader) error {
	made, there, kept := j.counts[userpool.ImportCreated], j.counts[userpool.ImportPresent], j.counts[userpool.ImportConflict]+j.counts[userpool.ImportInvalid]
	if j.a.json {
		err := j.a.printJSON(map[string]any{
			"event": "imported", "pool": j.in.pool, "dryRun": j.in.dryRun, "created": made, "present": there, "keptOut": kept, "groups": j.groups, "passwordOnly": j.passwordOnly,
		})
		if err != nil {
			return err
		}
	} else {
		verb := "were"
		if j.in.dryRun {
			verb = "would be"
		}
		fmt.Fprintf(j.a.stdout, "%s and %s %s brought into %s; %d were there already, %d kept out.\n", plural(made, "user"), plural(j.groups, "group"), verb, j.in.pool, there, kept)
		if j.passwordOnly > 0 {
			why := "their hashes are of another system"
			if own := r.Header.Pool; own != nil && own.ID != j.in.pool {
				why = "their verifiers are for the pool " + own.ID
			}
			fmt.Fprintf(j.a.stdout, "%s must show the password itself at the first sign-in (USER_PASSWORD_AUTH): %s. SRP works from then on.\n", plural(j.passwordOnly, "user"), why)
		}
	}
	if kept > 0 {
		return &exitError{exitFailed, fmt.Errorf("%d kept out", kept)}
	}
	return nil
}
