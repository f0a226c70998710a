package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// GetContextKeysForCustomPolicy implements iamapi.Service.
func (s *Service) GetContextKeysForCustomPolicy(_ context.Context, in *iamapi.GetContextKeysForCustomPolicyRequest) (*iamapi.GetContextKeysForPolicyResponse, error) {
	keys, err := contextKeys(in.PolicyInputList)
	return &iamapi.GetContextKeysForPolicyResponse{ContextKeyNames: keys}, err
}

// GetContextKeysForPrincipalPolicy implements iamapi.Service.
func (s *Service) GetContextKeysForPrincipalPolicy(ctx context.Context, in *iamapi.GetContextKeysForPrincipalPolicyRequest) (*iamapi.GetContextKeysForPolicyResponse, error) {
	var h grantee
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		h, err = s.grantee(tx, in.PolicySourceArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	texts := slices.Clone(in.PolicyInputList)
	for _, src := range h.sources {
		texts = append(texts, src.text)
	}
	keys, err := contextKeys(texts)
	return &iamapi.GetContextKeysForPolicyResponse{ContextKeyNames: keys}, err
}

// contextKeys lists the keys of all documents, each once, sorted.
func contextKeys(texts []string) ([]string, error) {
	out := []string{}
	for _, text := range texts {
		d, err := policy.Parse("", []byte(text))
		if err != nil {
			return nil, invalidInput("%s", err.Error())
		}
		for _, key := range d.ContextKeys() {
			if !slices.ContainsFunc(out, func(k string) bool { return strings.EqualFold(k, key) }) {
				out = append(out, key)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}
