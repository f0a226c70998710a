package userpool

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/token"
	"moat/internal/store"
)

const (
	// reserveSize is how many signing keys wait for pools: making one takes a
	// tenth of a second and more, longer than creating a pool may.
	reserveSize = 3
	// reservePause keeps the making of further keys from slowing down a start.
	reservePause  = 700 * time.Millisecond
	publishedKeys = 2
)

// errNoKey says that the reserve is empty.
var errNoKey = errors.New("userpool: no signing key in reserve")

// keyring holds the decoded keys of pools and fills the reserve.
type keyring struct {
	s    *Service
	wake chan struct{} // capacity 1: the reserve may need filling

	mu      sync.Mutex
	epoch   int
	pools   map[string]*poolKeys
	signers map[string]*token.SigningKey // by key id; key material never changes
	filled  chan struct{}                // closed at the next key in reserve
	young   []string                     // pools that may lack a key
	making  sync.WaitGroup
}

// poolKeys are the keys of one pool, ready for use.
type poolKeys struct {
	region string
	signer *token.SigningKey
	public token.Keys
	jwks   []byte
	// algorithms are those of the published keys, the one that signs first.
	algorithms []string
	until      time.Time // when this is to be read anew, since a retired key goes; zero: never
}

func newKeyring(s *Service) *keyring {
	return &keyring{
		s: s, wake: make(chan struct{}, 1), filled: make(chan struct{}),
		pools: map[string]*poolKeys{}, signers: map[string]*token.SigningKey{},
	}
}

// forget drops what is remembered of pools: one has changed or is gone.
func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch++
	k.pools = map[string]*poolKeys{}
	k.nudge() // after a reset, the reserve is empty
	if len(k.signers) > 4096 {
		k.signers = map[string]*token.SigningKey{}
	}
}

// of returns the keys of a pool, or a fault when there is no such pool.
func (k *keyring) of(ctx context.Context, poolID string) (*poolKeys, error) {
	k.mu.Lock()
	found, epoch := k.pools[poolID], k.epoch
	k.mu.Unlock()
	if found != nil && (found.until.IsZero() || k.s.now().Before(found.until)) {
		return found, nil
	}
	p, err := k.withKey(ctx, poolID)
	if err != nil {
		return nil, err
	}
	loaded, err := k.load(p)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch == epoch { // nothing changed while we read
		k.pools[poolID] = loaded
	}
	return loaded, nil
}

// withKey reads a pool. One that was made while the reserve was empty gets its first
// key now, unless the background was faster.
func (k *keyring) withKey(ctx context.Context, poolID string) (p Pool, err error) {
	for {
		err = k.s.db.View(ctx, func(tx *store.Tx) (err error) {
			p, err = k.s.pool(tx, poolID)
			return err
		})
		if err != nil || len(p.Keys) > 0 {
			return p, err
		}
		if _, err = k.addKey(ctx, poolID); errors.Is(err, errNoKey) {
			err = k.await(ctx)
		}
		if err != nil {
			return p, err
		}
	}
}

func (k *keyring) load(p Pool) (*poolKeys, error) {
	out := &poolKeys{region: p.Region, public: token.Keys{}}
	var public []*token.Key
	for i, pk := range p.Keys {
		signer, err := k.signer(pk)
		if err != nil {
			return nil, fmt.Errorf("userpool: signing key of %s: %w", p.ID, err)
		}
		if i == 0 {
			out.signer = signer
		}
		out.public[signer.ID] = signer.Key()
		public = append(public, signer.Key())
	}
	for _, old := range p.Retired {
		if !k.s.now().Before(old.Until) {
			continue
		}
		signer, err := k.signer(old.Key)
		if err != nil {
			return nil, fmt.Errorf("userpool: retired key of %s: %w", p.ID, err)
		}
		if out.until.IsZero() || old.Until.Before(out.until) {
			out.until = old.Until
		}
		out.public[signer.ID] = signer.Key()
		public = append(public, signer.Key())
	}
	if out.signer == nil {
		return nil, fmt.Errorf("userpool: %s has no signing key", p.ID)
	}
	out.jwks = token.JWKS(public...)
	for _, key := range public {
		if !slices.Contains(out.algorithms, key.Algorithm) {
			out.algorithms = append(out.algorithms, key.Algorithm)
		}
	}
	return out, nil
}

func (k *keyring) signer(pk PoolKey) (*token.SigningKey, error) {
	k.mu.Lock()
	signer := k.signers[pk.ID]
	k.mu.Unlock()
	if signer != nil {
		return signer, nil
	}
	signer, err := k.signerOf(pk)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signers[pk.ID] = signer
	return signer, nil
}

// signerOf decodes a key, which must be for the algorithm that its record names.
func (k *keyring) signerOf(pk PoolKey) (*token.SigningKey, error) {
	der, err := k.s.db.Unseal(sealKey, pk.Sealed)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch private := parsed.(type) {
	case *rsa.PrivateKey:
		if pk.algorithm() == algorithmRS256 {
			return token.NewSigningKey(pk.ID, private)
		}
	case *ecdsa.PrivateKey:
		if pk.algorithm() == algorithmES256 {
			return token.NewCurveKey(pk.ID, private)
		}
	}
	return nil, errors.New("not a key for " + pk.algorithm())
}

// takeKey moves a key out of the reserve, within a transaction.
func (s *Service) takeKey(tx *store.Tx) (PoolKey, error) {
	list, err := s.tables.reserve.List(tx, store.Query{Limit: 1})
	if err != nil {
		return PoolKey{}, err
	}
	if len(list) == 0 {
		return PoolKey{}, errNoKey
	}
	taken, err := s.tables.reserve.Take(tx, list[0].Key.ID)
	return taken.Key, err
}

// await returns when a key may be in reserve. It makes one beside the background
// work: of two that are made at once, the first is had sooner.
func (k *keyring) await(ctx context.Context) error {
	k.mu.Lock()
	filled := k.filled
	k.mu.Unlock()
	made := make(chan error, 1)
	k.making.Go(func() { made <- k.make(context.WithoutCancel(ctx)) })
	select {
	case <-filled:
		return nil
	case err := <-made:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// make adds a key to the reserve.
func (k *keyring) make(ctx context.Context) error {
	key, err := k.generate()
	if err != nil {
		return err
	}
	err = k.s.db.Update(ctx, func(tx *store.Tx) error { return k.s.tables.reserve.Insert(tx, ReserveKey{key}) })
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.filled)
	k.filled = make(chan struct{})
	return nil
}

func (k *keyring) generate() (PoolKey, error) {
	private, err := rsa.GenerateKey(k.s.rand, 2048)
	if err != nil {
		return PoolKey{}, err
	}
	return k.seal(private)
}

func (k *keyring) seal(private crypto.Signer) (PoolKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return PoolKey{}, err
	}
	id, err := k.s.random(32)
	if err != nil {
		return PoolKey{}, err
	}
	sealed, err := k.s.db.Seal(sealKey, der)
	return PoolKey{ID: base64.RawURLEncoding.EncodeToString(id), Sealed: sealed}, err
}

// born says that a pool was made, with its first key or without any.
func (k *keyring) born(poolID string) {
	k.mu.Lock()
	k.young = append(k.young, poolID)
	k.mu.Unlock()
	k.nudge()
}

// nudge has the background look at the reserve.
func (k *keyring) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run keeps the reserve full until ctx ends. Troubles are logged and tried again.
func (k *keyring) run(ctx context.Context) error {
	defer k.making.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	scanned := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-timer.C:
		}
		var err error
		if now := k.s.now(); now.Sub(scanned) >= time.Minute {
			scanned, err = now, k.scan(ctx)
		}
		more := false
		if err == nil {
			more, err = k.fill(ctx)
		}
		if err != nil && ctx.Err() == nil {
			k.s.log.Error("filling the reserve of signing keys", "error", err)
		}
		pause := time.Minute
		if more {
			pause = reservePause
		}
		timer.Reset(pause)
	}
}

// scan looks for pools that lack keys: made by another node, or before a stop.
func (k *keyring) scan(ctx context.Context) error {
	var young []string
	err := k.s.db.View(ctx, func(tx *store.Tx) error {
		pools, err := k.s.tables.pools.List(tx, store.Query{})
		for _, p := range pools {
			if len(p.Keys) < publishedKeys {
				young = append(young, p.ID)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range k.young { // one that was made while we read is not in the list
		if !slices.Contains(young, id) {
			young = append(young, id)
		}
	}
	k.young = young
	return nil
}

// fill makes one key if the reserve is not full, or gives one to a pool that lacks
// one; more says that there is more to do.
func (k *keyring) fill(ctx context.Context) (more bool, err error) {
	var reserve int
	err = k.s.db.View(ctx, func(tx *store.Tx) (err error) {
		reserve, err = k.s.tables.reserve.Count(tx, store.Query{})
		return err
	})
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	young := k.young
	k.mu.Unlock()
	if reserve < 1 || (reserve < reserveSize && len(young) == 0) {
		return true, k.make(ctx)
	}
	if len(young) == 0 {
		return false, nil
	}
	lacks, err := k.addKey(ctx, young[0])
	if err != nil {
		return true, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !lacks && len(k.young) > 0 && k.young[0] == young[0] {
		k.young = k.young[1:]
	}
	return true, nil
}

// addKey gives a pool its next key and says whether it lacks another one; a pool that
// has all of them, or is gone, is left alone.
func (k *keyring) addKey(ctx context.Context, poolID string) (lacks bool, err error) {
	curve, err := k.generateCurve()
	if err != nil {
		return false, err
	}
	err = k.s.db.Update(ctx, func(tx *store.Tx) error {
		lacks = false
		p, err := k.s.pool(tx, poolID)
		if is(err, notFound) || (err == nil && len(p.Keys) >= publishedKeys) {
			return nil
		}
		if err != nil {
			return err
		}
		key, err := k.nextKey(tx, &p, curve)
		if err != nil {
			return err
		}
		p.Keys = append(p.Keys, key)
		lacks = len(p.Keys) < publishedKeys
		return k.s.tables.pools.Put(tx, p)
	})
	return lacks, err
}

// issuer is the name that a pool's tokens carry.
func (s *Service) issuer(poolID string) string { return s.baseURL + "/" + poolID }

// Issuer returns the issuer of the pool with an ARN; false when it is not the ARN
// of an existing pool of this server.
func (s *Service) Issuer(poolARN string) (string, bool) {
	parts := strings.SplitN(poolARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "cognito-idp" || parts[4] != s.account {
		return "", false
	}
	id, ok := strings.CutPrefix(parts[5], "userpool/")
	if !ok || regionOf(id) != parts[3] {
		return "", false
	}
	if _, err := s.keys.of(context.Background(), id); err != nil {
		return "", false
	}
	return s.issuer(id), true
}

// poolOfIssuer recognises our issuer names: our own, and the name that the pool
// would have on AWS, which older clients build themselves.
func (s *Service) poolOfIssuer(issuer string) (string, bool) {
	if id, ok := strings.CutPrefix(issuer, s.baseURL+"/"); ok {
		return id, isPoolID(id)
	}
	rest, ok := strings.CutPrefix(issuer, "https://cognito-idp.")
	if !ok {
		return "", false
	}
	host, id, _ := strings.Cut(rest, "/")
	return id, isPoolID(id) && host == regionOf(id)+".amazonaws.com"
}

// KeysOf returns the keys of a pool by its issuer, in the shape of a resolver for
// the issuer registry. Both names of a pool work; false means that no pool of this
// server is meant or that it cannot be read now.
func (s *Service) KeysOf(issuer string) (token.KeySet, bool) {
	id, ok := s.poolOfIssuer(issuer)
	if !ok {
		return nil, false
	}
	keys, err := s.keys.of(context.Background(), id)
	if err != nil {
		if !is(err, notFound) {
			s.log.Error("reading the keys of a user pool", "pool", id, "error", err)
		}
		return nil, false
	}
	return keys.public, true
}
