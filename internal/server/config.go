package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"moat/internal/service/iam"
	"moat/internal/wire"
)

// Config says what a server is. Every field is checked by the command line before it comes here.
type Config struct {
	Listen   string // host:port; port 0 takes a free one
	Data     string // folder of database, function packages and master key; created when missing
	Database string // postgres://...; empty: SQLite in the data folder
	InMemory bool   // SQLite in memory, for tests
	Region   string
	Account  string
	BaseURL  string // public address; empty: http://localhost:PORT
	Domain   string // name below which APIs and pool domains are served; empty: localhost:PORT

	MasterKeyFile string // empty: master.key in the data folder, created at first start
	MasterKey     []byte // 32 bytes; instead of a file, for tests

	Dev                 bool // test/test is root; outbox and reset exist
	Isolation           string
	FunctionNetwork     string
	AllowPrivateTargets bool
	VPCLinks            map[string][]string // targets (host:port) of VPC links, by the name of a load balancer
	VPCEndpoints        []VPCEndpoint       // ways in of their own, for private APIs
	Quotas              map[string]int      // of API Gateway, where they are not AWS's first ones: see restapi.Quotas
	SMTP, MailFrom      string
	SMSWebhook          string // https://... that gets text messages, signed with the secret
	SMSWebhookSecret    string

	// BreachedPasswords is a file of hashes in the form of Have I Been Pwned; empty: the list that
	// comes with the program.
	BreachedPasswords string

	// Guardrails are service control policies: they bind every principal of the account, its root
	// too, and no service-linked role.
	Guardrails []iam.Guardrail

	// MetricsToken lets monitoring read the metrics as a bearer token; empty: nobody has one.
	MetricsToken string

	TrailRetention time.Duration // how long the files of the audit trail are kept; 0 is for ever

	// NetHTTP serves the plain port by net/http, too, instead of by our own engine; for tests
	// that compare the two.
	NetHTTP bool

	Version string
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Record  func(wire.Record) // called after each answer; must not block, nor keep strings but by [wire.Record.Clone]
	Message func(Message)     // called for each message that `moat dev` keeps; may be nil
	// Building is told of each build of a function that really runs; it may be nil.
	Building func(sentence string)
}

// masterKeySize is the length of a master key in bytes; its file holds it in hexadecimal.
const masterKeySize = 32

// masterKey reads the key that seals secrets at rest. The default file is created at first start.
func (c *Config) masterKey() ([]byte, error) {
	if c.MasterKey != nil {
		return c.MasterKey, nil
	}
	path := c.MasterKeyFile
	if path == "" {
		path = filepath.Join(c.Data, "master.key")
		if missing(path) && !c.InMemory && !missing(c.databaseFile()) {
			return nil, fmt.Errorf("the data folder %s holds data, but its master key %s is gone; put it back, or name it with --master-key-file", c.Data, path)
		}
		if err := createMasterKey(path, c.Rand); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the master key cannot be read: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != masterKeySize {
		return nil, fmt.Errorf("the master key file %s does not hold %d hexadecimal digits", path, 2*masterKeySize)
	}
	return key, nil
}

// createMasterKey writes a fresh key unless the file is there already.
func createMasterKey(path string, random io.Reader) error {
	key := make([]byte, masterKeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the master key cannot be written: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// withDefaults fills what may be left out.
func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if abs, err := filepath.Abs(c.Data); err == nil {
		c.Data = abs
	}
	if c.Record == nil {
		c.Record = func(wire.Record) {}
	}
	return c
}

// endpointIDs are the ids of the VPC endpoints.
func (c *Config) endpointIDs() (ids []string) {
	for _, e := range c.VPCEndpoints {
		ids = append(ids, e.ID)
	}
	return ids
}

// codeDir is where function packages are kept.
func (c *Config) codeDir() string { return filepath.Join(c.Data, "functions") }

// runDir is where the sandbox keeps its own small files.
func (c *Config) runDir() string { return filepath.Join(c.Data, "run") }

// trailDir is where the audit trail is kept.
func (c *Config) trailDir() string { return filepath.Join(c.Data, "trail") }

// databaseFile is the SQLite database of an installation that has no other.
func (c *Config) databaseFile() string { return filepath.Join(c.Data, "moat.db") }

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
