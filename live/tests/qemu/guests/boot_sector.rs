//! A guest of 512 bytes: it counts the ticks of its clock, and dirties a stated amount of memory at a
//! stated rate.
//!
//! It is the boot sector of a floppy disk. At every tick it writes to the next few pages of its
//! region, one word each, round and round, and halts until the next one; the first sweep it makes at
//! once, so that its memory is as large from the start as it will ever be. What it writes is the
//! number of the sweep, and before it writes, it checks that the page still holds the number of the
//! sweep before. So a page that is lost or too old on the way shows, as does a guest that starts
//! anew.

use serde_json::json;

use godwit_live::clusters::qemu::qmp::{Monitor, QmpError};

/// Ticks in a second: the timer's 1,193,182 Hz over the divisor in the code.
pub const TICKS_PER_S: u32 = 100;

/// Memory of the guest, MiB. QEMU measures dirty rates only of guests that have as much.
pub const MEMORY_MIB: u32 = 128;

/// Bytes that are dirtied in one go.
const PAGE: u32 = 4096;

/// Where the region that is dirtied begins.
const REGION: u32 = 2 << 20;

/// Bytes of an image that QEMU takes for a floppy disk of 1.44 MB.
const FLOPPY: usize = 1_474_560;

/// Up to the parameters, which are at 0x7c04: pages to dirty per tick, and the end of the region.
const HEAD: [u8; 4] = [
    0xeb, 0x0a, // jmp 0x7c0c
    0x00, 0x00,
];

/// From 0x7c0c on.
#[rustfmt::skip]
const CODE: [u8; 240] = [
    // 16 bits: into protected mode with flat segments.
    0xfa,                                           // cli
    0x31, 0xc0,                                     // xor ax, ax
    0x8e, 0xd8,                                     // mov ds, ax
    0xe4, 0x92, 0x0c, 0x02, 0xe6, 0x92,             // in al, 0x92; or al, 2; out 0x92, al (A20)
    0x0f, 0x01, 0x16, 0xf0, 0x7c,                   // lgdt [0x7cf0]
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1; mov cr0, eax
    0xea, 0x29, 0x7c, 0x08, 0x00,                   // jmp 0x08:0x7c29
    // 7c29, 32 bits from here on.
    0x66, 0xb8, 0x10, 0x00,                         // mov ax, 0x10
    0x8e, 0xd8, 0x8e, 0xd0,                         // mov ds, ax; mov ss, ax
    0xbc, 0x00, 0x7c, 0x00, 0x00,                   // mov esp, 0x7c00
    // Interrupt 0x20 goes to 0x08:0x7cce; the table is at 0x1000.
    0xc7, 0x05, 0x00, 0x11, 0x00, 0x00, 0xce, 0x7c, 0x08, 0x00, // mov dword [0x1100], 0x00087cce
    0xc7, 0x05, 0x04, 0x11, 0x00, 0x00, 0x00, 0x8e, 0x00, 0x00, // mov dword [0x1104], 0x00008e00
    0x0f, 0x01, 0x1d, 0xf6, 0x7c, 0x00, 0x00,       // lidt [0x7cf6]
    // Interrupt controller: request 0 is interrupt 0x20, the others are masked.
    0xb0, 0x11, 0xe6, 0x20,                         // mov al, 0x11; out 0x20, al
    0xb0, 0x20, 0xe6, 0x21,                         // mov al, 0x20; out 0x21, al
    0xb0, 0x04, 0xe6, 0x21,                         // mov al, 0x04; out 0x21, al
    0xb0, 0x01, 0xe6, 0x21,                         // mov al, 0x01; out 0x21, al
    0xb0, 0xfe, 0xe6, 0x21,                         // mov al, 0xfe; out 0x21, al
    // Timer 0: mode 2, divisor 0x2e9c.
    0xb0, 0x34, 0xe6, 0x43,                         // mov al, 0x34; out 0x43, al
    0xb0, 0x9c, 0xe6, 0x40,                         // mov al, 0x9c; out 0x40, al
    0xb0, 0x2e, 0xe6, 0x40,                         // mov al, 0x2e; out 0x40, al
    // The record at 0x8000.
    0xbb, 0x00, 0x80, 0x00, 0x00,                   // mov ebx, 0x8000
    0xff, 0x03,                                     // inc dword [ebx]           boots
    0x0f, 0x31, 0x89, 0x43, 0x04,                   // rdtsc; mov [ebx+4], eax   nonce
    0x31, 0xc0,                                     // xor eax, eax
    0x89, 0x43, 0x08, 0x89, 0x43, 0x0c,             // mov [ebx+8], eax; mov [ebx+12], eax  counter
    0x89, 0x43, 0x10,                               // mov [ebx+16], eax         wrong pages
    0x31, 0xff,                                     // xor edi, edi              sweep
    0xbe, 0x00, 0x00, 0x20, 0x00,                   // mov esi, 0x200000         page
    // 7c8f: next tick
    0x8b, 0x15, 0x04, 0x7c, 0x00, 0x00,             // mov edx, [0x7c04]         pages left
    // 7c95: next page; in sweep 0 at once
    0x85, 0xff, 0x74, 0x0f,                         // test edi, edi; jz 0x7ca8
    0x4a,                                           // dec edx
    0x79, 0x0c,                                     // jns 0x7ca8
    0xfb, 0xf4,                                     // sti; hlt
    0x83, 0x43, 0x08, 0x01, 0x83, 0x53, 0x0c, 0x00, // add dword [ebx+8], 1; adc dword [ebx+12], 0
    0xeb, 0xe7,                                     // jmp 0x7c8f
    // 7ca8: the page
    0x3b, 0x35, 0x08, 0x7c, 0x00, 0x00,             // cmp esi, [0x7c08]
    0x72, 0x06,                                     // jb 0x7cb6
    0x47,                                           // inc edi
    0xbe, 0x00, 0x00, 0x20, 0x00,                   // mov esi, 0x200000
    // 7cb6: it holds the number of the sweep, except in sweep 0
    0x85, 0xff, 0x74, 0x07,                         // test edi, edi; jz 0x7cc1
    0x39, 0x3e, 0x74, 0x03,                         // cmp [esi], edi; je 0x7cc1
    0xff, 0x43, 0x10,                               // inc dword [ebx+16]
    // 7cc1
    0x8d, 0x47, 0x01, 0x89, 0x06,                   // lea eax, [edi+1]; mov [esi], eax
    0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,             // add esi, 4096
    0xeb, 0xc7,                                     // jmp 0x7c95
    // 7cce: the interrupt
    0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf,       // push eax; mov al, 0x20; out 0x20, al; pop eax; iret
    0x00, 0x00, 0x00,
    // 7cd8: segments: none, code, data
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
    0x17, 0x00, 0xd8, 0x7c, 0x00, 0x00,             // 7cf0: their table
    0x07, 0x01, 0x00, 0x10, 0x00, 0x00,             // 7cf6: the interrupts' table
];

/// A floppy disk with the guest. It dirties so many MiB, at a rate of so many MiB/s; the rate is kept
/// to within half a page per tick.
pub fn image(mib: u32, mib_per_s: f32) -> Vec<u8> {
    assert!((1..=MEMORY_MIB - 8).contains(&mib), "the rest is the firmware's");
    let pages_per_tick = mib_per_s * (1 << 20) as f32 / PAGE as f32 / TICKS_PER_S as f32;
    let mut image = HEAD.to_vec();
    image.extend((pages_per_tick.round() as u32).to_le_bytes());
    image.extend((REGION + (mib << 20)).to_le_bytes());
    image.extend(CODE);
    image.resize(510, 0);
    image.extend([0x55, 0xaa]);
    image.resize(FLOPPY, 0);
    image
}

/// What a guest keeps of itself, at 0x8000 of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How often it has started; a reset keeps memory, and counts on.
    pub boots: u32,
    /// Its clock when it last started: another one after each start.
    pub nonce: u32,
    /// Ticks since.
    pub counter: u64,
    /// Pages that did not hold what was written to them last.
    pub wrong_pages: u32,
}

/// Reads a guest's record through its monitor.
///
/// # Errors
/// When the monitor does not answer.
pub fn record(monitor: &mut Monitor) -> Result<Record, QmpError> {
    let arguments = json!({ "command-line": "xp /5xw 0x8000" });
    let text: String = monitor.ask("human-monitor-command", arguments)?;
    let words = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("0x"));
    let words: Vec<u32> = words.filter_map(|word| u32::from_str_radix(word, 16).ok()).collect();
    let [boots, nonce, low, high, wrong_pages] = words[..] else {
        panic!("expected five words, got {text:?}");
    };
    Ok(Record { boots, nonce, counter: u64::from(high) << 32 | u64::from(low), wrong_pages })
}
