package gateway

// APIID is the id of the API that the snapshot serves.
func (s *Snapshot) APIID() string { return s.def.APIID }

// Stage is the name of the stage that the snapshot serves.
func (s *Snapshot) Stage() string { return s.def.Stage }
