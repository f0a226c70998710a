package userpool

import (
	"context"
	"errors"
	"slices"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

const (
	// retirement is how long a key is published after it signed last: the longest life of
	// an access or ID token, and what clocks may differ.
	retirement = 24*time.Hour + 5*time.Minute
	maxRetired = 8
)

// RetiredKey is a key that was replaced.
type RetiredKey struct {
	Key   PoolKey
	Until time.Time
}

// Rotation is what a rotation of signing keys did.
type Rotation struct {
	Signs string    `json:"signs"` // id of the key that signs now
	Old   string    `json:"old"`   // id of the one that did
	Until time.Time `json:"until"` // until when the old one is published; zero: no longer
}

// RotateKeys lets the pool's second key sign, which verifiers have known since it was
// published beside the first, and brings up another second one in the background. The
// old key stays published until no token of it can live. With drop it goes at once: its
// tokens are refused from then on, by whoever asks for the pool's keys, and users come
// back with their refresh tokens.
func (s *Service) RotateKeys(ctx context.Context, poolID string, drop bool) (Rotation, error) {
	for {
		out, err := s.rotateKeys(ctx, poolID, drop)
		if !errors.Is(err, errNoKey) {
			return out, exception(err)
		}
		// A young pool without a second key gets it now.
		if _, err := s.keys.addKey(ctx, poolID); errors.Is(err, errNoKey) {
			err = s.keys.await(ctx)
			if err != nil {
				return out, err
			}
		} else if err != nil {
			return out, exception(err)
		}
	}
}

func (s *Service) rotateKeys(ctx context.Context, poolID string, drop bool) (out Rotation, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		out = Rotation{}
		p, err := s.pool(tx, poolID)
		if err != nil {
			return err
		}
		if len(p.Keys) < publishedKeys {
			return errNoKey
		}
		now := s.time()
		p.Retired = slices.DeleteFunc(p.Retired, func(k RetiredKey) bool { return !now.Before(k.Until) })
		if drop {
			p.Retired = nil // a key that somebody else may have is no better for being older
		} else {
			if len(p.Retired) >= maxRetired {
				return refuse(limitExceeded, "The keys of this pool were rotated too often: wait until old ones are not needed any more.")
			}
			out.Until = now.Add(retirement)
			p.Retired = append(p.Retired, RetiredKey{p.Keys[0], out.Until})
		}
		out.Old, out.Signs = p.Keys[0].ID, p.Keys[1].ID
		p.Keys = slices.Delete(p.Keys, 0, 1)
		return s.tables.pools.Put(tx, p)
	})
	if err == nil {
		s.keys.forget() // before the topic does on other nodes
		s.keys.born(poolID)
	}
	return out, err
}

// RotateNeeds is what somebody needs who rotates the keys of a pool.
func (s *Service) RotateNeeds(poolID string) []wire.Need {
	needs := s.onPool(policy.Context{}, poolID)
	needs[0].Action = "moat:RotateKeys"
	return needs
}
