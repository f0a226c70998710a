package wire

// Sizes of rooms: as they are made, and of the largest that is kept.
const (
	roomSize    = 4 << 10
	maxRoomSize = 16 << 10
)

// takeRoom gives memory for a body of the protocol "json" and, once that is decoded, for the
// answer: what the decoder makes of a body are copies. In other protocols the body itself may be
// an input, and they get none.
func (x *exchange) takeRoom() []byte {
	if x.end == nil || x.end.api.Protocol != protocolJSON {
		return nil
	}
	if x.room, _ = x.p.rooms.Get().(*[]byte); x.room == nil {
		b := make([]byte, 0, roomSize)
		x.room = &b
	}
	return *x.room
}

// giveRoom lets another call have the memory, when nobody reads the body or the answer any more.
func (x *exchange) giveRoom() {
	if x.room != nil {
		x.p.rooms.Put(x.room)
		x.room, x.message.body, x.answer.body = nil, nil, nil
	}
}
