package server

import (
	"moat/internal/service/trail"
	"moat/internal/wire"
)

func (p *parts) makeTrail(cfg *Config) (err error) {
	p.trail, err = trail.New(trail.Config{
		DB: p.db, Dir: cfg.trailDir(), Account: cfg.Account, Region: cfg.Region, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
		Retention: cfg.TrailRetention, NoSync: cfg.InMemory,
	})
	return err
}

// refused adds a refusal of a deployed API to the trail. What was let in stands in the access log
// alone, whatever became of it behind the gateway.
func (p *parts) refused(r wire.Record) {
	if r.ErrorCode != "" && r.Step != "integrate" && r.Step != "respond" {
		p.trail.Record(r)
	}
}
