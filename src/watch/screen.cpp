#define NCURSES_NOMACROS
#include "watch/screen.h"

#include <curses.h>
#include <fmt/format.h>
#include <poll.h>
#include <term.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/error.h"

#undef lines  // a macro of term.h

namespace borealis {
namespace {

constexpr int kEscapeDelayMs = 50;  // how long the rest of a key that begins with escape may take
constexpr short kTerminalsOwn = -1;

struct StyleColor {
  Style style;
  short color;
};
constexpr std::array kColors = {
    StyleColor{Style::kGood, COLOR_GREEN}, StyleColor{Style::kWarning, COLOR_YELLOW},
    StyleColor{Style::kBad, COLOR_RED}, StyleColor{Style::kCurve, COLOR_CYAN}};

// Throws unless the terminal can at least move its cursor and clear itself.
void require_drawable(std::string_view terminal) {
  int found = 0;
  const bool known = ::setupterm(nullptr, STDOUT_FILENO, &found) == OK;
  const auto can = [](const char* capability) {
    // ncurses has -1 for what is no text.
    const char* text = ::tigetstr(capability);
    return text != nullptr && reinterpret_cast<intptr_t>(text) != -1;
  };
  if (known && can("cup") && can("clear")) return;
  throw Error(ErrorKind::kConfig,
              terminal.empty()
                  ? std::string("TERM is empty or not set: nothing is known of this terminal")
                  : fmt::format("TERM={}: {}", terminal,
                                known ? "such a terminal cannot be drawn on"
                                      : "this system knows no such terminal"),
              "--once prints a snapshot on any, or set TERM to what the terminal is (xterm)");
}

attr_t attributes_of(Style style) {
  switch (style) {
    case Style::kPlain:
    case Style::kCurve:
      return A_NORMAL;
    case Style::kDim:
      return A_DIM;
    case Style::kSelected:
      return A_REVERSE;
    case Style::kBold:
    case Style::kGood:
    case Style::kWarning:
    case Style::kBad:
      return A_BOLD;
  }
  return A_NORMAL;
}

void set_style(Style style, bool colors) {
  attr_t attributes = attributes_of(style);
  short pair = 0;
  for (size_t i = 0; i < kColors.size(); ++i) {
    if (colors && kColors[i].style == style) pair = static_cast<short>(i + 1);
  }
  ::attr_set(attributes, pair, nullptr);
}

std::optional<WatchKey> key_of(int code) {
  switch (code) {
    case 'q':
    case 'Q':
      return WatchKey::kQuit;
    case KEY_RIGHT:
    case KEY_DOWN:
    case '\t':
    case 'j':
    case 'l':
      return WatchKey::kNext;
    case KEY_LEFT:
    case KEY_UP:
    case KEY_BTAB:
    case 'k':
    case 'h':
      return WatchKey::kPrevious;
    case '\n':
    case '\r':
    case KEY_ENTER:
      return WatchKey::kWhole;
    case 27:  // escape
      return WatchKey::kBack;
    case '?':
      return WatchKey::kHelp;
    default:
      return std::nullopt;
  }
}

}  // namespace

Screen::Screen(std::string_view terminal, bool colors) : terminal_(nullptr) {
  require_drawable(terminal);
  terminal_ = ::newterm(nullptr, stdout, stdin);
  if (terminal_ == nullptr) {
    throw Error(ErrorKind::kConfig, fmt::format("TERM={}: the terminal cannot be set up", terminal),
                "--once prints a snapshot on any");
  }
  ::cbreak();
  ::noecho();
  ::curs_set(0);
  ::keypad(stdscr, TRUE);
  ::set_escdelay(kEscapeDelayMs);
  colors_ = colors && ::has_colors() && ::start_color() == OK;
  if (!colors_) return;
  const bool own = ::use_default_colors() == OK;
  for (size_t i = 0; i < kColors.size(); ++i) {
    ::init_pair(static_cast<short>(i + 1), kColors[i].color, own ? kTerminalsOwn : COLOR_BLACK);
  }
}

Screen::~Screen() {
  ::endwin();
  ::delscreen(static_cast<SCREEN*>(terminal_));
}

int Screen::width() const { return getmaxx(stdscr); }
int Screen::height() const { return getmaxy(stdscr); }

void Screen::draw(const std::vector<StyledLine>& lines) {
  ::erase();
  for (size_t row = 0; row < lines.size(); ++row) {
    ::move(static_cast<int>(row), 0);
    for (const StyledPart& part : lines[row]) {
      set_style(part.style, colors_);
      ::addstr(part.text.c_str());
    }
  }
  set_style(Style::kPlain, colors_);
  ::refresh();
}

std::optional<WatchKey> Screen::wait_for_key(int milliseconds) {
  ::timeout(milliseconds);
  const int code = ::getch();
  return code == ERR || code == KEY_RESIZE ? std::nullopt : key_of(code);
}

bool Screen::is_gone() const {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace borealis
