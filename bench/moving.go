package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// moving answers what it takes to carry all users of a pool to another Moat, and to change the names by which they sign in.
func (r *rig) moving(ctx context.Context, b *bench, size int) (rows []row, err error) {
	dir, err := os.MkdirTemp(b.dir, "moving-")
	if err != nil {
		return nil, err
	}
	secret, file := filepath.Join(dir, "passphrase"), filepath.Join(dir, "users.age")
	if err := os.WriteFile(secret, []byte("a passphrase of the benchmark\n"), 0o600); err != nil {
		return nil, err
	}
	if err := r.cognito(ctx, "TagResource", map[string]any{"ResourceArn": r.pool.arn, "Tags": map[string]string{"moat:allow-schema-changes": "true"}}, nil); err != nil {
		return nil, err
	}
	other, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer other.stop()
	for _, step := range []struct {
		name string
		rig  *rig
		args []string
	}{
		{"moat users export", r, []string{"users", "export", r.pool.id, "--out", file, "--passphrase-file", secret}},
		{"moat users import, another Moat", other, []string{"users", "import", file, "--passphrase-file", secret, "--create-pool"}},
		{"the same again: all are there", other, []string{"users", "import", file, "--passphrase-file", secret}},
		{"moat pools change, dry run", r, []string{"pools", "change", r.pool.id, "--alias-attributes", "email", "--dry-run"}},
		{"moat pools change: e-mail becomes an alias", r, []string{"pools", "change", r.pool.id, "--alias-attributes", "email"}},
	} {
		figures, err := step.rig.command(ctx, b, size, step.args...)
		if err != nil {
			return nil, fmt.Errorf("%s of %d users: %w", step.name, size, err)
		}
		rows = append(rows, row{Name: fmt.Sprintf("%d users: %s", size, step.name), Figures: figures})
	}
	return rows, os.RemoveAll(dir)
}

// command runs a client command of moat against the server and says what it took.
func (r *rig) command(ctx context.Context, b *bench, users int, args ...string) ([]figure, error) {
	cmd := exec.CommandContext(ctx, b.binary, append(args, "--endpoint", "http://"+r.address)...)
	cmd.Dir = b.dir
	cmd.Env = append(environment(), "AWS_ACCESS_KEY_ID="+r.aws.credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+r.aws.credentials.SecretAccessKey)
	before, err := r.cpu()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("moat %s: %w: %s", strings.Join(args, " "), err, out)
	}
	took := time.Since(began)
	after, err := r.cpu()
	if err != nil {
		return nil, err
	}
	return []figure{
		{"took", "s", took.Seconds()}, {"CPU of the server", "s", (after - before).Seconds()},
		{"users", "1/s", float64(users) / took.Seconds()}, {"server's peak memory", "MiB", residents("VmHWM", r.cmd.Process.Pid)},
	}, nil
}
