package trail

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// digest vouches for a closed file, with the members of CloudTrail's digest files ("CloudTrail
// digest file structure"); its signature is the keyed hash of the chain.
type digest struct {
	AWSAccountID                string          `json:"awsAccountId"`
	DigestStartTime             string          `json:"digestStartTime"`
	DigestEndTime               string          `json:"digestEndTime"`
	DigestSignatureAlgorithm    string          `json:"digestSignatureAlgorithm"`
	DigestKeyID                 string          `json:"digestPublicKeyFingerprint"` // id of the master key
	NewestEventTime             string          `json:"newestEventTime"`
	OldestEventTime             string          `json:"oldestEventTime"`
	PreviousDigest              string          `json:"previousDigestFile"`
	PreviousDigestHashValue     string          `json:"previousDigestHashValue"`
	PreviousDigestHashAlgorithm string          `json:"previousDigestHashAlgorithm"`
	PreviousDigestSignature     string          `json:"previousDigestSignature"`
	LogFiles                    []digestLogFile `json:"logFiles"`
	Mac                         string          `json:"mac,omitempty"`
}

type digestLogFile struct {
	File            string `json:"file"`
	HashValue       string `json:"hashValue"` // of the content before compression
	HashAlgorithm   string `json:"hashAlgorithm"`
	NewestEventTime string `json:"newestEventTime"`
	OldestEventTime string `json:"oldestEventTime"`
	FirstLine       uint64 `json:"firstLine"`
	LastLine        uint64 `json:"lastLine"`
}

// compress closes a file: the compressed copy is whole on disk before the file goes, and its
// digest before either.
func (f *folder) compress(file trailFile) error {
	path := filepath.Join(f.dir, file.name)
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".gz.new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	hash, z := sha256.New(), gzip.NewWriter(out)
	if _, err := io.Copy(io.MultiWriter(hash, z), in); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if !f.cfg.noSync {
		if err := out.Sync(); err != nil {
			return err
		}
	}
	if err := f.writeDigest(file, hex.EncodeToString(hash.Sum(nil))); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(path+".gz.new", path+".gz"), f.syncDir()); err != nil {
		return err
	}
	return os.Remove(path)
}

func (f *folder) writeDigest(file trailFile, hash string) error {
	now := f.cfg.now().UTC().Format("2006-01-02T15:04:05Z")
	entry := digestLogFile{File: file.name + ".gz", HashValue: hash, HashAlgorithm: "SHA-256", FirstLine: file.first}
	if err := entry.span(f.dir, file); err != nil {
		return err
	}
	d := digest{
		AWSAccountID: f.cfg.account, DigestStartTime: entry.OldestEventTime, DigestEndTime: now, DigestSignatureAlgorithm: "HMAC-SHA256", DigestKeyID: f.cfg.masterKeyID,
		NewestEventTime: entry.NewestEventTime, OldestEventTime: entry.OldestEventTime, PreviousDigest: f.digestName, PreviousDigestHashValue: f.digestHash,
		PreviousDigestHashAlgorithm: "SHA-256", PreviousDigestSignature: f.digestMac, LogFiles: []digestLogFile{entry},
	}
	sealed, mac := seal(f.cfg.key, f.links.name+"/digest", marshal(d))
	name := file.base() + ".digest.json"
	if err := os.WriteFile(filepath.Join(f.dir, name), append(sealed, '\n'), 0o600); err != nil {
		return err
	}
	f.digestName, f.digestMac, f.digestHash = name, mac, hashOf(sealed)
	return nil
}

// span reads the first and last time and the last line number of a file.
func (e *digestLogFile) span(dir string, file trailFile) error {
	_, err := file.read(dir, func(text []byte, _ int64) error {
		var l struct {
			Seq   uint64 `json:"seq"`
			Event struct {
				EventTime string `json:"eventTime"`
			} `json:"event"`
		}
		if json.Unmarshal(text, &l) != nil {
			return nil
		}
		e.LastLine = l.Seq
		if t := l.Event.EventTime; t != "" {
			if e.OldestEventTime == "" || t < e.OldestEventTime {
				e.OldestEventTime = t
			}
			e.NewestEventTime = max(e.NewestEventTime, t)
		}
		return nil
	})
	return err
}

// rememberDigest makes the digest of a closed file the one that the next is tied to.
func (f *folder) rememberDigest(file trailFile) {
	name := file.base() + ".digest.json"
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		return
	}
	sealed := []byte(strings.TrimSuffix(string(text), "\n"))
	var d digest
	if json.Unmarshal(sealed, &d) == nil {
		f.digestName, f.digestMac, f.digestHash = name, d.Mac, hashOf(sealed)
	}
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
