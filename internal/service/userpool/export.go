package userpool

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"

	"moat/internal/pure/policy"
	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
	"moat/internal/wire"
)

const (
	// exportUsers is how many users one page of an export reads, exportBytes where it ends earlier.
	exportUsers = 500
	exportBytes = 8 << 20
)

// ExportRequest asks for one page of a pool's users. Next is empty for the first.
type ExportRequest struct {
	Pool string `json:"pool"`
	Next string `json:"next,omitempty"`
}

// ExportPage is a part of a file of users: lines without their ends. Next asks for the page
// behind it; the last page has none, and ends in the signature over all pages.
type ExportPage struct {
	Lines []string `json:"lines"`
	Users int      `json:"users"` // so far
	Next  string   `json:"next,omitempty"`
}

// exported is where an export stands. It travels sealed from page to page, so that what is signed
// at the end is what was really given out.
type exported struct {
	Pool          string
	After         string // key of the last user
	Digest        userfile.Digest
	Groups, Users int
}

// ExportNeeds is what a caller must be allowed to export a pool's users. The action is no action
// of AWS: no permission that was given for Cognito's operations, of which none tells how
// passwords are checked, includes it by accident.
func (s *Service) ExportNeeds(pool string) []wire.Need {
	needs := s.onPool(policy.Context{}, pool)
	needs[0].Action = "moat:ExportUsers"
	return needs
}

// ExportUsers answers with a page of a file of the pool's users: with everything that lets them
// sign in elsewhere as before, in the clear. Each user is read once, at his page's time.
func (s *Service) ExportUsers(ctx context.Context, in ExportRequest) (*ExportPage, error) {
	at := exported{Pool: in.Pool, Digest: userfile.NewDigest()}
	first := in.Next == ""
	if !first && (!s.unsealJSON(sealExport, in.Next, &at) || at.Pool != in.Pool) {
		return nil, exception(refuse(invalidParameter, "Invalid pagination token."))
	}
	out := &exportWriter{at: at}
	var more bool
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		*out = exportWriter{at: at}
		p, err := s.poolHere(ctx, tx, in.Pool)
		if err != nil {
			return err
		}
		if first {
			if err := s.exportHead(tx, &p, out); err != nil {
				return err
			}
		}
		more, err = s.exportSome(tx, &p, out)
		return err
	})
	if err != nil {
		return nil, exception(err)
	}
	page := &ExportPage{Lines: out.lines, Users: out.at.Users}
	if more {
		page.Next, err = s.sealJSON(sealExport, out.at)
		return page, err
	}
	end, err := json.Marshal(userfile.Line{End: userfile.Sign(s.exportKey(), out.at.Groups, out.at.Users, out.at.Digest)})
	page.Lines = append(page.Lines, string(end))
	return page, err
}

// exportKey signs the exports of this database's Moats.
func (s *Service) exportKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(s.secrets.derive(ed25519.SeedSize, "export signing key"))
}

// exportWriter collects the lines of a page.
type exportWriter struct {
	at    exported
	lines []string
	bytes int
}

func (w *exportWriter) add(v any) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	text := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	w.at.Digest = w.at.Digest.Add(text)
	w.lines = append(w.lines, string(text))
	w.bytes += len(text)
	return nil
}

// poolRecord is a pool without what no other pool can have.
func poolRecord(p Pool) ([]byte, error) {
	p.Account, p.Keys, p.Retired, p.Domain, p.Logs = "", nil, nil, "", nil
	return json.Marshal(p)
}

// exportHead writes the header and the groups.
func (s *Service) exportHead(tx *store.Tx, p *Pool, w *exportWriter) error {
	record, err := poolRecord(*p)
	if err != nil {
		return err
	}
	now := s.time()
	err = w.add(userfile.Header{Moat: userfile.KindUsers, Version: userfile.Version, ExportedAt: &now, Pool: &userfile.Pool{ID: p.ID, Record: record}})
	if err != nil {
		return err
	}
	groups, err := s.tables.groups.List(tx, store.Query{Prefix: []string{p.ID}})
	if err != nil {
		return err
	}
	for _, g := range groups {
		w.at.Groups++
		err := w.add(userfile.Line{Group: &userfile.Group{
			Name: g.Name, Description: g.Description, Role: g.RoleARN, Precedence: g.Precedence, Created: &g.CreatedAt, Modified: &g.ModifiedAt,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// exportSome writes the next users, and says whether there are more.
func (s *Service) exportSome(tx *store.Tx, p *Pool, w *exportWriter) (more bool, err error) {
	q := store.Query{Prefix: []string{p.ID}, Limit: exportUsers + 1}
	if w.at.After != "" {
		q.After = []string{p.ID, w.at.After}
	}
	users, err := s.tables.users.List(tx, q)
	if err != nil {
		return false, err
	}
	for i := range users {
		if i == exportUsers || w.bytes > exportBytes {
			return true, nil
		}
		line, err := s.exportUser(tx, &users[i])
		if err != nil {
			return false, err
		}
		w.at.Users++
		w.at.After = users[i].Key
		if err := w.add(userfile.Line{User: line}); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (s *Service) exportUser(tx *store.Tx, u *User) (*userfile.User, error) {
	out := &userfile.User{
		Username: u.Name, Sub: u.Sub, Status: u.Status, Disabled: u.Disabled, Attributes: u.Attributes, Created: &u.CreatedAt, Modified: &u.ModifiedAt,
	}
	members, err := s.tables.members.List(tx, store.Query{Index: "user", Values: []string{u.Pool, u.Key}})
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		out.Groups = append(out.Groups, m.Group)
	}
	if out.Password, err = s.exportPassword(u); err != nil {
		return nil, err
	}
	if out.Passkeys, err = s.exportPasskeys(tx, u); err != nil {
		return nil, err
	}
	if out.Devices, err = s.exportDevices(tx, u); err != nil {
		return nil, err
	}
	out.MFA, err = s.exportMFA(&u.MFA)
	return out, err
}

// exportPassword unseals what a user's passwords are checked with; nil: nothing.
func (s *Service) exportPassword(u *User) (*userfile.Password, error) {
	out := &userfile.Password{}
	if u.Hash != nil {
		text, err := s.db.Unseal(sealForeign, u.Hash)
		if err != nil {
			return nil, err
		}
		out.Hash = string(text)
	}
	if u.Verifier != nil {
		v, err := s.exportVerifier(u, OldPassword{u.Salt, u.Verifier, u.Origin})
		if err != nil {
			return nil, err
		}
		out.SRP = &v
	}
	for _, old := range u.History {
		v, err := s.exportVerifier(u, old)
		if err != nil {
			return nil, err
		}
		out.History = append(out.History, v)
	}
	if !u.TemporaryUntil.IsZero() {
		out.TemporaryUntil = &u.TemporaryUntil
	}
	if out.Hash == "" && out.SRP == nil && out.History == nil && out.TemporaryUntil == nil {
		return nil, nil
	}
	return out, nil
}

func (s *Service) exportVerifier(u *User, p OldPassword) (userfile.Verifier, error) {
	plain, err := s.db.Unseal(sealVerifier, p.Verifier)
	id := identityOf(u, p.Origin)
	return userfile.Verifier{Pool: id.Pool, User: id.User, Salt: p.Salt, Verifier: plain}, err
}

func (s *Service) exportMFA(m *UserMFA) (*userfile.MFA, error) {
	if len(m.Enabled) == 0 && m.Preferred == "" && m.Seed == nil && !m.Passkey {
		return nil, nil
	}
	out := &userfile.MFA{Enabled: m.Enabled, Preferred: m.Preferred, Passkey: m.Passkey}
	if m.Seed != nil {
		seed, err := s.db.Unseal(sealSeed, m.Seed)
		if err != nil {
			return nil, err
		}
		out.TOTP = &userfile.TOTP{Seed: seed, LastStep: m.LastStep, Name: m.Device}
	}
	return out, nil
}
