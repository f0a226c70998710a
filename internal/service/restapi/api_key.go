package restapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	minKeyValue       = 20
	maxKeyValue       = 128
	maxKeyName        = 1024
	maxKeyDescription = 125000
	maxStageKeys      = 100
	sealKey           = "restapi/api-key"
)

// CreateApiKey makes an API key, with a value drawn at random or the one given.
func (s *Service) CreateApiKey(ctx context.Context, in *apigatewayapi.CreateApiKeyRequest) (*apigatewayapi.ApiKey, error) {
	id, err := s.id(longID)
	if err != nil {
		return nil, err
	}
	value := wire.Value(in.Value)
	if value == "" {
		if value, err = s.random(keyAlphabet, keyValue); err != nil {
			return nil, err
		}
	}
	if wire.Value(in.Name) == "" {
		in.Name = nil // recorded
	}
	now := s.now()
	k := apigatewayapi.ApiKey{
		Id: &id, Name: in.Name, Description: in.Description, CustomerId: in.CustomerId, Enabled: wire.Bool(wire.Value(in.Enabled)),
		CreatedDate: &now, LastUpdatedDate: &now, StageKeys: []string{}, Tags: in.Tags,
	}
	if err := checkKey(&k, value); err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(sealKey, []byte(value))
	if err != nil {
		return nil, err
	}
	p := s.place(ctx)
	rec := key{Account: p.account, Region: p.region, ID: id, Key: k, Value: sealed, Hash: hashKey(value)}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.roomForKey(tx, p); err != nil {
			return err
		}
		rec.Key.StageKeys = []string{}
		for _, st := range in.StageKeys {
			if err := s.stageKey(tx, &rec, wire.Value(st.RestApiId)+"/"+wire.Value(st.StageName)); err != nil {
				return err
			}
		}
		return s.insertKey(tx, rec)
	})
	if errors.Is(err, store.ErrExists) {
		return nil, conflict("API Key already exists")
	}
	if err != nil {
		return nil, err
	}
	rec.Key.Value = &value
	return &rec.Key, s.publishPlans(ctx)
}

// hashKey is what the table finds a value by. A value is random and long, so a plain hash hides it;
// a short value of one's own is refused.
func hashKey(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

func checkKey(k *apigatewayapi.ApiKey, value string) error {
	switch {
	case len(wire.Value(k.Name)) > maxKeyName:
		return badRequest("Invalid API Key name, can be at most %d characters.", maxKeyName)
	case len(wire.Value(k.Description)) > maxKeyDescription:
		return badRequest("Invalid API Key description specified.")
	case len(value) > maxKeyValue:
		return badRequest("API Key value exceeds maximum size of %d characters", maxKeyValue)
	case len(value) < minKeyValue:
		return badRequest("API Key value should be at least %d characters", minKeyValue)
	}
	return nil
}

func (s *Service) key(tx *store.Tx, p place, id string) (key, error) {
	k, err := s.tables.keys.Get(tx, p.key(id)...)
	if errors.Is(err, store.ErrNotFound) {
		return k, notFound("Invalid API Key identifier specified")
	}
	return k, err
}

// value opens a key's value.
func (s *Service) value(k key) (string, error) {
	plain, err := s.db.Unseal(sealKey, k.Value)
	return string(plain), err
}

// GetApiKey returns a key, with its value only when asked for.
func (s *Service) GetApiKey(ctx context.Context, in *apigatewayapi.GetApiKeyRequest) (*apigatewayapi.ApiKey, error) {
	var k key
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		k, err = s.key(tx, s.place(ctx), in.ApiKey)
		return err
	})
	if err != nil {
		return nil, err
	}
	if wire.Value(in.IncludeValue) {
		value, err := s.value(k)
		if err != nil {
			return nil, err
		}
		k.Key.Value = &value
	}
	return &k.Key, nil
}

// GetApiKeys lists keys by the beginning of their name.
func (s *Service) GetApiKeys(ctx context.Context, in *apigatewayapi.GetApiKeysRequest) (*apigatewayapi.ApiKeys, error) {
	out := &apigatewayapi.ApiKeys{}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		filters := s.listing(ctx, wire.Value(in.NameQuery), wire.Value(in.CustomerId))
		show := func(k key) (apigatewayapi.ApiKey, bool, error) {
			if !strings.HasPrefix(wire.Value(k.Key.Name), wire.Value(in.NameQuery)) || in.CustomerId != nil && wire.Value(k.Key.CustomerId) != *in.CustomerId {
				return k.Key, false, nil
			}
			if wire.Value(in.IncludeValues) {
				value, err := s.value(k)
				if err != nil {
					return k.Key, false, err
				}
				k.Key.Value = &value
			}
			return k.Key, true, nil
		}
		var err error
		out.Items, out.Position, err = pageOfKeys(tx, s.tables.keys, p, store.Query{Prefix: p.key()}, filters, in.Position, in.Limit, show)
		return err
	})
	return out, err
}

// UpdateApiKey patches a key; a disabled key is refused when the call answers.
func (s *Service) UpdateApiKey(ctx context.Context, in *apigatewayapi.UpdateApiKeyRequest) (*apigatewayapi.ApiKey, error) {
	k, err := amend(ctx, s, func(tx *store.Tx) (key, error) { return s.key(tx, s.place(ctx), in.ApiKey) }, func(tx *store.Tx, k *key) error {
		for _, op := range in.PatchOperations {
			if err := s.patchKey(tx, k, op); err != nil {
				return err
			}
		}
		if err := checkKey(&k.Key, strings.Repeat("-", minKeyValue)); err != nil {
			return err
		}
		k.Key.LastUpdatedDate = wire.Ptr(s.now())
		return nil
	}, s.putKey)
	if err != nil {
		return nil, err
	}
	return &k.Key, s.publishPlans(ctx)
}

// patchKey changes a key.
func (s *Service) patchKey(tx *store.Tx, k *key, op apigatewayapi.PatchOperation) error {
	allowed, _ := keyRules().find(pointer(wire.Value(op.Path)))
	switch path := wire.Value(op.Path); {
	case path == "/labels" && slices.Contains(allowed, op.Op):
		return notBuilt("UpdateApiKey", "labels of keys are not built; use tags")
	case path == "/stages" && op.Op == add:
		return s.stageKey(tx, k, wire.Value(op.Value))
	case path == "/stages" && op.Op == remove:
		i := slices.Index(k.Key.StageKeys, wire.Value(op.Value))
		if i < 0 {
			return notFound("Invalid stage key specified")
		}
		k.Key.StageKeys = slices.Delete(slices.Clone(k.Key.StageKeys), i, i+1)
		return nil
	}
	return keyRules().apply(&k.Key, []apigatewayapi.PatchOperation{op})
}

// stageKey notes that a key belongs to a stage, "api/stage". The note opens nothing: in an account with usage
// plans, as every account is since 2016, only a plan does (API Gateway Developer Guide, "Usage plans and API keys").
func (s *Service) stageKey(tx *store.Tx, k *key, name string) error {
	api, st, _ := strings.Cut(name, "/")
	_, err := s.stage(tx, place{k.Account, k.Region}, api, st)
	var missing *apigatewayapi.NotFoundException
	if errors.As(err, &missing) {
		return notFound("Invalid stage identifier specified")
	}
	if err == nil && !slices.Contains(k.Key.StageKeys, name) {
		if len(k.Key.StageKeys) >= maxStageKeys {
			return badRequest("An API Key belongs to at most %d stages", maxStageKeys)
		}
		k.Key.StageKeys = append(k.Key.StageKeys, name)
	}
	return err
}

// DeleteApiKey deletes a key and takes it out of its plans.
func (s *Service) DeleteApiKey(ctx context.Context, in *apigatewayapi.DeleteApiKeyRequest) (*apigatewayapi.DeleteApiKeyOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		k, err := s.key(tx, p, in.ApiKey)
		if err != nil {
			return err
		}
		return s.deleteKey(tx, k)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteApiKeyOutput{}, s.publishPlans(ctx)
}
