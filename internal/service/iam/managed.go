package iam

import (
	"crypto/sha256"
	"embed"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
)

// managedFile holds the AWS-managed policies that the services of this
// installation have a use for, by path and name. ReadOnlyAccess and the policies
// of whole services name only what matters to the services that exist here.
//
//go:embed managed.json
var managedFile embed.FS

const managedPrefix = "arn:aws:iam::aws:policy/"

// managedPolicies reads the AWS-managed policies.
func managedPolicies() (map[string]Policy, error) {
	data, err := managedFile.ReadFile("managed.json")
	if err != nil {
		return nil, err
	}
	var docs map[string]json.RawMessage
	if err := json.Unmarshal(data, &docs); err != nil {
		return nil, err
	}
	out := make(map[string]Policy, len(docs))
	created := time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)
	for name, doc := range docs {
		path := "/"
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			path, name = "/"+name[:i+1], name[i+1:]
		}
		out["arn:aws:iam::aws:policy"+path+name] = Policy{
			Account: "aws", Name: name, Path: path, ID: managedID(name), Created: created, Updated: created,
			Versions: []Version{{ID: "v1", Document: string(doc), Created: created}}, Default: "v1", Last: 1,
		}
	}
	return out, nil
}

// managedID makes a stable identifier of a name.
func managedID(name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := []byte("ANPA")
	for _, c := range sha256.Sum256([]byte(name)) {
		if len(b) < entityIDLength {
			b = append(b, alphabet[c&31])
		}
	}
	return string(b)
}

// getPolicy returns a managed policy by its ARN, or store.ErrNotFound.
func (s *Service) getPolicy(tx *store.Tx, arn string) (Policy, error) {
	if strings.HasPrefix(arn, managedPrefix) {
		p, ok := s.awsManaged[arn]
		if !ok {
			return Policy{}, store.ErrNotFound
		}
		return p, nil
	}
	p, err := s.t.policies.Get(tx, s.cfg.Account, lower(arn[strings.LastIndexByte(arn, '/')+1:]))
	if err != nil {
		return p, err
	}
	if s.policyARN(&p) != arn {
		return Policy{}, store.ErrNotFound
	}
	return p, nil
}

func (s *Service) policyARN(p *Policy) string {
	return "arn:aws:iam::" + p.Account + ":policy" + p.Path + p.Name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
