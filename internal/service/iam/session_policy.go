package iam

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"unicode/utf8"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// The bounds of session policies. AWS packs policies and tags together into a
// binary form of a size that it does not tell; here they are deflated.
const (
	maxInlinePolicy   = 2048 // characters
	maxSessionManaged = 10
	packedRoom        = 2048 // bytes
)

// limits are the session policies of a session: documents, and ARNs of managed
// policies, which count as they are when a call is decided.
type limits struct{ inline, managed []string }

func (l limits) empty() bool { return len(l.inline)+len(l.managed) == 0 }

// givenPolicies reads the session policies of a call: at most one inline and ten
// managed ones. size is how much of the room for policies and tags is taken, in
// percent; nil when there are none.
func (s *sts) givenPolicies(ctx context.Context, inline *string, managed []stsapi.PolicyDescriptorType, tags []Tag) (l limits, size *int32, err error) {
	if inline != nil {
		d, err := policy.Parse("session policy", []byte(*inline))
		if err == nil {
			err = d.Check(policy.IdentityPolicy)
		}
		if err != nil {
			return l, nil, &stsapi.MalformedPolicyDocumentException{Message: err.Error()}
		}
		if utf8.RuneCountInString(*inline) > maxInlinePolicy {
			return l, nil, validation("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to %d", maxInlinePolicy)
		}
		l.inline = []string{*inline}
	}
	if len(managed) > maxSessionManaged {
		return l, nil, validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxSessionManaged)
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		l.managed = nil
		for _, m := range managed {
			arn := wire.Value(m.Arn)
			if _, err := s.getPolicy(tx, arn); errors.Is(err, store.ErrNotFound) {
				return validation("Invalid session policy: %s", arn)
			} else if err != nil {
				return err
			}
			l.managed = append(l.managed, arn)
		}
		return nil
	})
	if err != nil {
		return l, nil, err
	}
	size, err = s.packedSize(l, tags)
	return l, size, err
}

// packedSize measures policies and tags, and refuses what does not fit.
func (s *Service) packedSize(l limits, tags []Tag) (*int32, error) {
	if l.empty() && len(tags) == 0 {
		return nil, nil
	}
	var plain []byte
	for _, text := range append(append([]string{}, l.inline...), l.managed...) {
		plain = append(append(plain, text...), 0)
	}
	for _, t := range tags {
		plain = append(append(append(append(plain, t.Key...), 0), t.Value...), 0)
	}
	packed, err := s.deflate(plain)
	if err != nil {
		return nil, err
	}
	percent := (len(packed)*100 + packedRoom - 1) / packedRoom
	switch {
	case percent <= 100:
		return wire.Int32(int32(percent)), nil
	case l.empty():
		return nil, packedTooLarge("Packed size of session tags consumes %d%% of allotted space.", percent)
	}
	return nil, packedTooLarge("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
}

// deflate packs bytes. Writers are kept: each is most of a megabyte.
func (s *Service) deflate(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	w, ok := s.packers.Get().(*flate.Writer)
	if ok {
		w.Reset(&b)
	} else {
		var err error
		if w, err = flate.NewWriter(&b, flate.DefaultCompression); err != nil {
			return nil, err
		}
	}
	defer s.packers.Put(w)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// nothingPolicy allows nothing that exists.
const nothingPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"none:None","Resource":"*"}}`

// sessionPolicies compiles the policies that a session carries, each once. A
// managed policy that has been deleted since allows nothing any more.
func (s *Service) sessionPolicies(ctx context.Context, l limits) ([]*policy.Document, error) {
	if l.empty() {
		return nil, nil
	}
	c := s.cache.Load()
	out := make([]*policy.Document, 0, len(l.inline)+len(l.managed))
	for _, doc := range l.inline {
		d, err := remember(&c.mu, c.policies, maxSessionPolicies, doc, func() (*policy.Document, error) {
			return policy.Parse("session policy", []byte(doc))
		})
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	for _, arn := range l.managed {
		d, err := remember(&c.mu, c.policies, maxSessionPolicies, arn, func() (d *policy.Document, err error) {
			err = s.db.View(ctx, func(tx *store.Tx) error {
				d, err = s.managed(tx, arn)
				return err
			})
			if errors.Is(err, store.ErrNotFound) {
				return policy.Parse("deleted session policy", []byte(nothingPolicy))
			}
			return d, err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
