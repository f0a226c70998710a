package iam

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// SSHKey is a public key of a user. Nothing here signs in with it.
type SSHKey struct {
	Account, ID, User string // unique id
	Key               []byte // as SSH writes it (RFC 4253 section 6.6)
	Active            bool
	Uploaded          time.Time
}

const (
	maxSSHKeys = 5 // IAM's quota per user
	minRSABits = 2048
	sshRSA     = "ssh-rsa"
)

func newSSHTable() *store.Table[SSHKey] {
	return store.NewTable(store.Schema[SSHKey]{
		Name: "iam_ssh_keys", Key: []string{"account", "id"},
		KeyOf: func(k *SSHKey) []string { return []string{k.Account, k.ID} },
		Indexes: []store.Index[SSHKey]{
			{Name: "by_user", Columns: []string{"account", "username"}, Of: func(k *SSHKey) [][]string { return [][]string{{k.Account, k.User}} }},
		},
	})
}

// parseSSHKey reads an RSA public key, as a line of ssh-keygen or as PEM.
func parseSSHKey(text string) (*rsa.PublicKey, error) {
	text = strings.TrimSpace(text)
	bad := &iamapi.InvalidPublicKeyException{Message: "The public key is malformed or otherwise invalid."}
	var key *rsa.PublicKey
	if b, rest := pem.Decode([]byte(text)); b != nil {
		var parsed any
		var err error
		switch b.Type {
		case "PUBLIC KEY":
			parsed, err = x509.ParsePKIXPublicKey(b.Bytes)
		case "RSA PUBLIC KEY":
			parsed, err = x509.ParsePKCS1PublicKey(b.Bytes)
		}
		var ok bool
		if key, ok = parsed.(*rsa.PublicKey); !ok || err != nil || len(bytes.TrimSpace(rest)) > 0 {
			return nil, bad
		}
	} else {
		fields := strings.Fields(text)
		if len(fields) < 2 || fields[0] != sshRSA || strings.ContainsAny(text, "\r\n") {
			return nil, &iamapi.UnrecognizedPublicKeyEncodingException{Message: "The public key encoding is not recognized: ssh-rsa and PEM are supported."}
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(fields[1])
		if err != nil {
			return nil, bad
		}
		if key, err = readSSHKey(raw); err != nil {
			return nil, bad
		}
	}
	if n := key.N.BitLen(); n < minRSABits || n > 16384 || key.E < 3 || key.E&1 == 0 {
		return nil, bad
	}
	return key, nil
}

// readSSHKey reads the strings "ssh-rsa", e and n.
func readSSHKey(b []byte) (*rsa.PublicKey, error) {
	var parts [3][]byte
	for i := range parts {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return nil, errors.New("iam: short SSH key")
		}
		n := binary.BigEndian.Uint32(b)
		parts[i], b = b[4:4+n], b[4+n:]
	}
	e := new(big.Int).SetBytes(parts[1])
	if len(b) > 0 || string(parts[0]) != sshRSA || !e.IsInt64() || e.Int64() > 1<<31-1 || len(parts[1]) == 0 || len(parts[2]) == 0 || (parts[1][0]|parts[2][0])&0x80 != 0 {
		return nil, errors.New("iam: malformed SSH key")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(parts[2]), E: int(e.Int64())}, nil
}

func writeSSHKey(k *rsa.PublicKey) []byte {
	var b []byte
	put := func(v []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	number := func(n *big.Int) {
		v := n.Bytes()
		if v[0]&0x80 != 0 { // positive numbers begin with a zero bit (RFC 4251, mpint)
			v = append([]byte{0}, v...)
		}
		put(v)
	}
	put([]byte(sshRSA))
	number(big.NewInt(int64(k.E)))
	number(k.N)
	return b
}

func (s *Service) sshOut(k *SSHKey, user string, encoding iamapi.EncodingType) (*iamapi.SSHPublicKey, error) {
	body := sshRSA + " " + base64.StdEncoding.EncodeToString(k.Key)
	if encoding == "PEM" {
		key, err := readSSHKey(k.Key)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, err
		}
		body = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	sum := md5.Sum(k.Key) // what IAM shows as a fingerprint; nothing rests on it
	pairs := make([]string, len(sum))
	for i := range sum {
		pairs[i] = hex.EncodeToString(sum[i : i+1])
	}
	return &iamapi.SSHPublicKey{SSHPublicKeyId: k.ID, UserName: user, SSHPublicKeyBody: body, Fingerprint: strings.Join(pairs, ":"), Status: status(k.Active), UploadDate: &k.Uploaded}, nil
}

func (s *Service) sshKeysOf(tx *store.Tx, userID string) ([]SSHKey, error) {
	return s.t.sshKeys.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, userID}})
}

// UploadSSHPublicKey implements iamapi.Service.
func (s *Service) UploadSSHPublicKey(ctx context.Context, in *iamapi.UploadSSHPublicKeyRequest) (*iamapi.UploadSSHPublicKeyResponse, error) {
	key, err := parseSSHKey(in.SSHPublicKeyBody)
	if err != nil {
		return nil, err
	}
	id, err := s.newID("APKA", keyIDLength)
	if err != nil {
		return nil, err
	}
	k := SSHKey{Account: s.cfg.Account, ID: id, Key: writeSSHKey(key), Active: true, Uploaded: s.now()}
	out := &iamapi.UploadSSHPublicKeyResponse{}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		have, err := s.sshKeysOf(tx, u.ID)
		switch {
		case err != nil:
			return err
		case slices.ContainsFunc(have, func(h SSHKey) bool { return bytes.Equal(h.Key, k.Key) }):
			return &iamapi.DuplicateSSHPublicKeyException{Message: "The SSH public key is associated with the user already."}
		case len(have) >= maxSSHKeys:
			return limit("Cannot exceed quota for SSHPublicKeysPerUser: %d", maxSSHKeys)
		}
		k.User = u.ID
		if out.SSHPublicKey, err = s.sshOut(&k, u.Name, "SSH"); err != nil {
			return err
		}
		return s.t.sshKeys.Insert(tx, k)
	})
}

func (s *Service) getSSHKey(tx *store.Tx, user, id string) (User, SSHKey, error) {
	u, err := s.getUser(tx, user)
	if err != nil {
		return u, SSHKey{}, err
	}
	k, err := s.t.sshKeys.Get(tx, s.cfg.Account, id)
	if err == nil && k.User != u.ID {
		err = store.ErrNotFound
	}
	return u, k, or(err, noSuch("The Public Key with id %s cannot be found.", id), nil)
}

// GetSSHPublicKey implements iamapi.Service.
func (s *Service) GetSSHPublicKey(ctx context.Context, in *iamapi.GetSSHPublicKeyRequest) (*iamapi.GetSSHPublicKeyResponse, error) {
	out := &iamapi.GetSSHPublicKeyResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		u, k, err := s.getSSHKey(tx, in.UserName, in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		out.SSHPublicKey, err = s.sshOut(&k, u.Name, in.Encoding)
		return err
	})
}

// UpdateSSHPublicKey implements iamapi.Service.
func (s *Service) UpdateSSHPublicKey(ctx context.Context, in *iamapi.UpdateSSHPublicKeyRequest) (*iamapi.UpdateSSHPublicKeyOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		_, k, err := s.getSSHKey(tx, in.UserName, in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		if err := setStatus(&k.Active, in.Status); err != nil {
			return err
		}
		return s.t.sshKeys.Put(tx, k)
	})
}

// DeleteSSHPublicKey implements iamapi.Service.
func (s *Service) DeleteSSHPublicKey(ctx context.Context, in *iamapi.DeleteSSHPublicKeyRequest) (*iamapi.DeleteSSHPublicKeyOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		_, k, err := s.getSSHKey(tx, in.UserName, in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		return s.t.sshKeys.Delete(tx, s.cfg.Account, k.ID)
	})
}

// ListSSHPublicKeys implements iamapi.Service.
func (s *Service) ListSSHPublicKeys(ctx context.Context, in *iamapi.ListSSHPublicKeysRequest) (*iamapi.ListSSHPublicKeysResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var list []SSHKey
	err = s.db.View(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		name = u.Name
		list, err = s.sshKeysOf(tx, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListSSHPublicKeysResponse{SSHPublicKeys: []iamapi.SSHPublicKeyMetadata{}}
	list, out.Marker, out.IsTruncated, err = page(s, "ssh/"+name, list, func(k *SSHKey) string { return k.ID }, in.Marker, in.MaxItems)
	for _, k := range list {
		out.SSHPublicKeys = append(out.SSHPublicKeys, iamapi.SSHPublicKeyMetadata{SSHPublicKeyId: k.ID, Status: status(k.Active), UploadDate: k.Uploaded, UserName: name})
	}
	return out, err
}
